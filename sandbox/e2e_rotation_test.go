package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings"
)

// Secrets change while requests run: the new one works before the old one ends.
func (s *suite) testRotation(t *testing.T) {
	t.Run("passwords", s.tryPasswords)
	t.Run("interrupted", s.tryInterruptedRotation)
	t.Run("registry", s.tryRegistryPassword)
	t.Run("passphrase", s.tryPassphrase)
}

// The keys of Snapify's secrets.
const (
	snapifyDatabase  = "secrets.snapify.DATABASE_PASSWORD"
	snapifyRedis     = "secrets.snapify.REDIS_PASSWORD"
	snapifySecretKey = "secrets.snapify.SECRET_KEY"
)

// setSecret gives a secret another value as an operator does, on standard input.
func (s *suite) setSecret(t *testing.T, key, value string) {
	t.Helper()
	s.pulumiReads(t, value, "config", "set", "--secret", "--path", settings.Project+":"+key)
	s.own.Values[key] = value
	if err := s.keep(s.own); err != nil {
		t.Fatal(err)
	}
}

// pulumiReads runs the CLI with a text on standard input.
func (s *suite) pulumiReads(t *testing.T, input string, args ...string) {
	t.Helper()
	cmd, err := s.command(context.WithoutCancel(t.Context()), args...)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = strings.NewReader(input)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pulumi %v: %v: %s", args, err, said)
	}
}

// Both passwords of an app and a secret of its own, in one update.
func (s *suite) tryPasswords(t *testing.T) {
	defer s.runElsewhere()()
	client := browser(t)
	old := map[string]string{}
	for _, key := range []string{snapifyDatabase, snapifyRedis, snapifySecretKey} {
		old[key] = s.own.Values[key]
		s.setSecret(t, key, random())
	}
	before := countJobs(t, client, "https://snapify.pk")
	task := postTask(t, client, "https://snapify.pk", 20*time.Second)
	others := startAttack(browser(t), 20, otherApps("snapify"), nil)
	load := startAttack(browser(t), 50, []string{"https://snapify.pk/"}, []string{"https://snapify.pk/jobs"})
	watched := watchEvents(t)
	s.up(t)
	time.Sleep(5 * time.Second)
	load.stop()
	others.stop()
	load.expectClean(t)
	others.expectClean(t)
	s.figures["rotation, longest wait"] = load.metrics.Latencies.Max

	seen := watched()
	for _, action := range []string{"die", "create", "start"} {
		seen.once(t, "snapify_celery_beat", action)
	}
	seen.inOrder(t, event{"snapify_celery_beat", "die"}, event{"snapify_celery_beat", "start"})
	seen.oneTransient(t)
	seen.only(t, "snapify_")

	after := countJobs(t, client, "https://snapify.pk")
	if posted := int(load.posted.Load()) + 1; after.Jobs-before.Jobs != posted { // with the task
		t.Errorf("%d POSTs were answered, %d are kept", posted, after.Jobs-before.Jobs)
	}
	expectDone(t, client, "https://snapify.pk", task)
	s.expectHealthy(t)
	expectWorkers(t, client)
	for _, name := range []string{"snapify_backend", "snapify_celery_worker", "snapify_celery_beat"} {
		if !slices.Contains(inspectStack(t)[name].Config.Env, "SECRET_KEY="+s.own.Values[snapifySecretKey]) {
			t.Errorf("%s does not have the new SECRET_KEY", name)
		}
	}

	s.expectLogins(t, s.own.Values[snapifyDatabase])
	if err := tryPassword(t, old[snapifyDatabase]); sqlState(err) != wrongPassword {
		t.Errorf("with the old password PostgreSQL says %v", err)
	}
	if err := tryRedisPassword(t, old[snapifyRedis]); err == nil || !strings.HasPrefix(err.Error(), "WRONGPASS") {
		t.Errorf("with the old password Redis says %v", err)
	}
	if err := tryRedisPassword(t, s.own.Values[snapifyRedis]); err != nil {
		t.Errorf("with the new password Redis says %v", err)
	}
	s.expectNoChanges(t)
}

// A version that never becomes ready comes with a new password: the one before goes on with
// its own, and a way back leaves nothing.
func (s *suite) tryInterruptedRotation(t *testing.T) {
	before, old, next := s.ids(t), s.own.Values[snapifyDatabase], random()
	s.setSecret(t, snapifyDatabase, next)
	defer s.watchCommandLines(t)() // of the new password too
	load := startAttack(browser(t), 20, append(otherApps("snapify"), "https://snapify.pk/"), []string{"https://snapify.pk/jobs"})
	s.setImage(t, "snapify-backend", image("sick"))
	s.upFails(t, "the next version of snapify_backend did not become ready")
	s.expectLogins(t, old, next)
	expectSame(t, before, s.ids(t))

	s.setSecret(t, snapifyDatabase, old)
	s.setImage(t, "snapify-backend", image("1"))
	s.up(t)
	load.stop()
	load.expectClean(t)
	s.expectLogins(t, old)
	if err := tryPassword(t, next); sqlState(err) != wrongPassword {
		t.Errorf("with the password that was taken back PostgreSQL says %v", err)
	}
	expectSame(t, before, s.ids(t))
	s.expectHealthy(t)
	s.expectNoChanges(t)
}

// Whoever has only the old passphrase reads nothing any more.
func (s *suite) tryPassphrase(t *testing.T) {
	previous, next := s.own, random()
	s.pulumiReads(t, next+"\n", "stack", "change-secrets-provider", "passphrase")
	s.own.Passphrase = next
	if err := s.keep(s.own); err != nil {
		t.Fatal(err)
	}
	if err := s.writeEnvironment(s.own); err != nil {
		t.Fatal(err)
	}
	cmd, err := s.sandbox.command(t.Context(), previous, "stack", "export", "--show-secrets")
	if err != nil {
		t.Fatal(err)
	}
	if said, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(said), "incorrect passphrase") {
		t.Errorf("with the old passphrase the state opens: %v", err) // what it says may be secret
	}
	s.expectNoChanges(t)
}

// expectLogins expects that the passwords, and no others, open Snapify's database, and that
// whoever comes in acts as its owner.
func (s *suite) expectLogins(t *testing.T, passwords ...string) {
	t.Helper()
	want := []string{"snapify"} // owns the database, and does not log in
	for _, password := range passwords {
		want = append(want, ledger.LoginRole("snapify", password))
		if err := tryPassword(t, password); err != nil {
			t.Errorf("a password of %s: %v", want[len(want)-1], err)
		}
	}
	admin := mustLogIn(t, addressOf(t, ledger.Postgres), "postgres", s.own.Values["postgresPassword"], "postgres")
	var found []string
	if err := admin.QueryRow(t.Context(), `SELECT array_agg(rolname::text) FROM pg_roles WHERE rolname LIKE 'snapify%'`).Scan(&found); err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	if slices.Sort(want); !slices.Equal(found, want) {
		t.Errorf("the roles of Snapify are %v, want %v", found, want)
	}
}

// tryPassword logs in to Snapify's database.
func tryPassword(t *testing.T, password string) error {
	t.Helper()
	c, err := logIn(t, addressOf(t, ledger.Postgres), ledger.LoginRole("snapify", password), password, "snapify_db")
	if err != nil {
		return err
	}
	defer c.Close(t.Context())
	var acts string
	if err := c.QueryRow(t.Context(), "SELECT current_user").Scan(&acts); err != nil {
		return err
	}
	if acts != "snapify" {
		return fmt.Errorf("it acts as %s", acts)
	}
	return nil
}

// tryRedisPassword logs in as Snapify's Redis user.
func tryRedisPassword(t *testing.T, password string) error {
	t.Helper()
	_, err := reachRedis(t, addressOf(t, ledger.Redis)).do("AUTH", "snapify", password)
	return err
}

// rotateKeys changes the SSH key and Cloudflare's token while requests run.
func (e *existing) rotateKeys(t *testing.T) {
	t.Helper()
	client := browser(t)
	load := startAttack(client, 20, []string{"https://api.psydge.com/"}, []string{"https://api.psydge.com/jobs"})

	key := newKey(t)
	admitted := publicText(key.PublicKey()) + "\n"
	before, err := os.ReadFile(e.box.file("authorized_keys"))
	if err != nil {
		t.Fatal(err)
	}
	e.write(t, "authorized_keys", string(before)+admitted)
	e.setSecret(t, "sshPrivateKey", key.private)
	e.key = key.private
	e.write(t, "login_key", key.private)

	// The emulated API knows one token, and no update runs between the two.
	token := random()
	if err := e.stopCloudflare(); err != nil {
		t.Fatal(err)
	}
	e.own.Values["cloudflareApiToken"] = token
	if err := e.keep(e.own); err != nil {
		t.Fatal(err)
	}
	if err := e.startCloudflare(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.setSecret(t, "cloudflareApiToken", token)

	e.succeeds(t, e.connected(t, e.upArgs()...))
	e.write(t, "authorized_keys", admitted)
	e.expectPsydge(t)
	for _, args := range [][]string{{"preview"}, {"preview", "--refresh"}} {
		e.succeeds(t, e.connected(t, append(args, "--expect-no-changes", "--policy-pack", e.pack(), "--diff")...))
	}
	load.stop()
	load.expectClean(t)
}
