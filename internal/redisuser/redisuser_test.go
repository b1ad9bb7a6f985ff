package redisuser

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/alorig/fleet/internal/ledger"
)

const (
	adminPassword = "admin c4n4ry"
	oldPassword   = "old c4n4ry"
	newPassword   = "new c4n4ry"
)

func hashOf(password string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(password))) }

// server is a Redis server in a directory of its own, as the platform runs one.
type server struct {
	Redis
	dir  string
	args []string
	cmd  *exec.Cmd
	log  bytes.Buffer
}

func newServer(t *testing.T, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("there is no redis-server (Debian: redis-server)")
	}
	s := &server{dir: t.TempDir(), args: args}
	users := "user default on #" + hashOf(adminPassword) + " ~* &* +@all\n"
	if err := os.WriteFile(filepath.Join(s.dir, "users.acl"), []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Redis = Redis{Container: "alorig_redis", AdminPassword: adminPassword}
	s.start(t)
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Log(s.log.String())
		}
	})
	return s
}

// start starts Redis on a socket: a port that is free now may be another test's a moment later.
func (s *server) start(t *testing.T) {
	t.Helper()
	s.Address = filepath.Join(s.dir, "socket")
	args := []string{"--port", "0", "--unixsocket", s.Address, "--dir", s.dir}
	if !slices.Contains(s.args, "--requirepass") { // which an ACL file overrules
		args = append(args, "--aclfile", filepath.Join(s.dir, "users.acl"))
	}
	s.cmd = exec.Command("redis-server", append(args, s.args...)...)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("unix", s.Address)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatalf("Redis does not start: %v", err)
		}
	}
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *server) restart(t *testing.T) {
	t.Helper()
	s.kill()
	s.start(t)
}

// client logs in on one connection.
func (s *server) client(t *testing.T, user, password string) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.Address, Username: user, Password: password, PoolSize: 1, MaxRetries: -1, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// letsIn reports whether the app's password opens its database.
func (s *server) letsIn(t *testing.T, password string) bool {
	t.Helper()
	err := s.client(t, "psydge", password).Set(t.Context(), "psydge:key", "x", 0).Err()
	if err != nil && !strings.Contains(err.Error(), "WRONGPASS") {
		t.Fatal(err)
	}
	return err == nil
}

func (s *server) admin(t *testing.T, words ...any) any {
	t.Helper()
	answer, err := s.client(t, "default", adminPassword).Do(t.Context(), words...).Result()
	if err != nil {
		t.Fatalf("%v: %v", words, err)
	}
	return answer
}

// permissions is what Redis knows of the app's user besides its passwords.
func (s *server) permissions(t *testing.T) any {
	t.Helper()
	known, err := state(t.Context(), s.client(t, "default", adminPassword), "psydge")
	if err != nil {
		t.Fatal(err)
	}
	return known.rest
}

func psydge(t *testing.T, password string) User {
	t.Helper()
	app, ok := ledger.Alorig().App("psydge")
	if !ok {
		t.Fatal("the ledger has no psydge")
	}
	return User{Name: "psydge", Password: password, Permissions: app.RedisACL()}
}

// must fails the test unless the change is the one that is expected.
func must(t *testing.T, want string) func(string, error) {
	t.Helper()
	return func(did string, err error) {
		t.Helper()
		if err != nil || did != want {
			t.Fatalf("%q, %v, want %q", did, err, want)
		}
	}
}

func TestAnAppReachesItsOwnAlone(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	must(t, "made the Redis user psydge")(Put(t.Context(), s.Redis, psydge(t, oldPassword)))
	must(t, "")(Put(t.Context(), s.Redis, psydge(t, oldPassword)))
	must(t, "")(Settle(t.Context(), s.Redis, psydge(t, oldPassword)))
	c := s.client(t, "psydge", oldPassword)
	if err := c.Set(t.Context(), "psydge:key", "x", 0).Err(); err != nil {
		t.Error(err)
	}
	if err := c.Get(t.Context(), "snapify:key").Err(); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("another app's key: %v", err)
	}
	less := psydge(t, oldPassword)
	less.Permissions = []string{"~psydge:*", "+get"}
	must(t, "changed what the Redis user psydge may do")(Put(t.Context(), s.Redis, less))
	if err := c.Set(t.Context(), "psydge:key", "x", 0).Err(); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("a permission that was taken away: %v", err)
	}
	s.restart(t)
	if err := s.client(t, "psydge", oldPassword).Get(t.Context(), "psydge:key").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("after a restart of Redis: %v", err)
	}
}

// Containers that know the earlier password go on until those that know the new one run,
// however many updates that takes.
func TestAPasswordIsChangedWithoutAGap(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	must(t, "made the Redis user psydge")(Put(t.Context(), s.Redis, psydge(t, oldPassword)))
	subscribed := s.client(t, "psydge", oldPassword).PSubscribe(t.Context(), "psydge:/2.celeryev/worker.*")
	defer subscribed.Close()
	if _, err := subscribed.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	must(t, "the Redis user psydge has a new password, beside 1 earlier")(Put(t.Context(), s.Redis, psydge(t, "a try")))
	must(t, "the Redis user psydge has a new password, beside 2 earlier")(Put(t.Context(), s.Redis, psydge(t, newPassword)))
	must(t, "")(Put(t.Context(), s.Redis, psydge(t, newPassword)))
	s.admin(t, "PUBLISH", "psydge:/2.celeryev/worker.heartbeat", "beat")
	if message, err := subscribed.ReceiveTimeout(t.Context(), 5*time.Second); err != nil {
		t.Errorf("the subscription has ended: %v, %v", message, err)
	}
	s.restart(t) // both are in the ACL file
	for _, password := range []string{oldPassword, "a try", newPassword} {
		if !s.letsIn(t, password) {
			t.Errorf("%q does not work before the change is settled", password)
		}
	}
	if s.letsIn(t, "another") {
		t.Error("any password works")
	}
	connected := s.client(t, "psydge", oldPassword)
	id, err := connected.ClientID(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	must(t, "only the new password of the Redis user psydge works now")(Settle(t.Context(), s.Redis, psydge(t, newPassword)))
	if again, err := connected.ClientID(t.Context()).Result(); err != nil || again != id {
		t.Errorf("settling ends an open connection: %v", err)
	}
	s.restart(t)
	if s.letsIn(t, oldPassword) || s.letsIn(t, "a try") || !s.letsIn(t, newPassword) {
		t.Error("another password than the new one works afterwards")
	}
}

func TestNobodyIsShutOutMeanwhile(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	must(t, "made the Redis user psydge")(Put(t.Context(), s.Redis, psydge(t, oldPassword)))
	ctx, stop := context.WithCancel(t.Context())
	var asked atomic.Int64
	ended := make(chan error, 1)
	open := s.client(t, "psydge", oldPassword)
	go func() {
		for ctx.Err() == nil {
			c := redis.NewClient(&redis.Options{Addr: s.Address, Username: "psydge", Password: oldPassword, MaxRetries: -1, DisableIdentity: true})
			err := errors.Join(c.Set(t.Context(), "psydge:key", "x", 0).Err(), open.Get(t.Context(), "psydge:key").Err())
			_ = c.Close()
			if err != nil {
				ended <- err
				return
			}
			asked.Add(1)
		}
		ended <- nil
	}()
	for i := range 40 {
		if _, err := Put(t.Context(), s.Redis, psydge(t, "try "+strconv.Itoa(i%2))); err != nil {
			t.Error(err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if asked.Load() < 20 {
		t.Errorf("only %d requests", asked.Load())
	}
}

// Whatever somebody has done to the user by hand.
func TestPermissionsAreExactlyThoseGiven(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	must(t, "made the Redis user psydge")(Put(t.Context(), s.Redis, psydge(t, oldPassword)))
	want := s.permissions(t)
	for name, rules := range map[string][]any{
		"everything":      {"allkeys", "allchannels", "+@all", "skip-sanitize-payload", "nopass", "(+get ~other:*)"},
		"a subcommand":    {"-script", "+script|flush", "+select|0"},
		"nothing":         {"resetkeys", "resetchannels", "-@all"},
		"switched off":    {"off"},
		"no password":     {"resetpass"},
		"another command": {"+flushall", "~other:*", "&other:*"},
	} {
		s.admin(t, append([]any{"ACL", "SETUSER", "psydge", ">" + oldPassword}, rules...)...)
		if _, err := Put(t.Context(), s.Redis, psydge(t, newPassword)); err != nil {
			t.Fatal(err)
		}
		if got := s.permissions(t); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\nwant %v", name, got, want)
		}
		if s.letsIn(t, "any") || !s.letsIn(t, newPassword) {
			t.Errorf("%s: the password is not the one given", name)
		}
		if name == "switched off" && s.letsIn(t, oldPassword) {
			t.Error("the password of a user that was switched off works again")
		}
	}
}

func TestARemovedUserIsShutOutAtOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	must(t, "made the Redis user psydge")(Put(t.Context(), s.Redis, psydge(t, oldPassword)))
	c, err := net.Dial("unix", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(c, "AUTH psydge \"%s\"\r\n", oldPassword)
	answer := make([]byte, 64)
	if n, err := c.Read(answer); err != nil || string(answer[:n]) != "+OK\r\n" {
		t.Fatalf("%q, %v", answer[:n], err)
	}
	must(t, "removed the Redis user psydge")(Remove(t.Context(), s.Redis, "psydge"))
	if n, err := c.Read(answer); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the open connection stays: %q, %v", answer[:n], err)
	}
	must(t, "")(Remove(t.Context(), s.Redis, "psydge"))
	if s.letsIn(t, oldPassword) {
		t.Error("the user can log in")
	}
	s.restart(t)
	if s.letsIn(t, oldPassword) {
		t.Error("the user is back after a restart of Redis")
	}
}

// A kill between the change and ACL SAVE leaves what a restart of Redis would undo.
func TestWhatWasKilledBeforeItWasSavedIsSavedByTheNextRun(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	words := []any{"ACL", "SETUSER", "psydge", "reset", "on", "#" + hashOf(oldPassword)}
	for _, word := range psydge(t, "").Permissions {
		words = append(words, word)
	}
	s.admin(t, words...)
	must(t, "")(Put(t.Context(), s.Redis, psydge(t, oldPassword)))
	s.restart(t)
	if !s.letsIn(t, oldPassword) {
		t.Error("the user is gone after a restart of Redis")
	}
	s.admin(t, "ACL", "DELUSER", "psydge")
	must(t, "")(Remove(t.Context(), s.Redis, "psydge"))
	s.restart(t)
	if s.letsIn(t, oldPassword) {
		t.Error("the user is back after a restart of Redis")
	}
}

// recorder keeps what is sent to a server.
type recorder struct {
	mu   sync.Mutex
	sent strings.Builder
}

func (r *recorder) Write(text []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent.Write(text)
}

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent.String()
}

// before listens on another socket, and passes on what comes there.
func (r *recorder) before(t *testing.T, address string) string {
	t.Helper()
	listener, err := net.Listen("unix", address+"-recorded")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", address)
			if err != nil {
				t.Error(err)
				return
			}
			go func() {
				_, _ = io.Copy(far, io.TeeReader(near, r))
				_ = far.Close()
			}()
			go func() {
				_, _ = io.Copy(near, far)
				_ = near.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

func TestRedisNeverSeesAPassword(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--slowlog-log-slower-than", "0", "--loglevel", "debug")
	watch, err := net.Dial("unix", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	fmt.Fprintf(watch, "AUTH default \"%s\"\r\nMONITOR\r\n", adminPassword)
	wire := &recorder{}
	s.Address = wire.before(t, s.Address)
	u := psydge(t, oldPassword)
	for _, do := range []func(context.Context, Redis, User) (string, error){Put, Settle} {
		if _, err := do(t.Context(), s.Redis, u); err != nil {
			t.Fatal(err)
		}
		u.Password = newPassword
	}
	u.Permissions = []string{"+nosuch"}
	if _, err := Put(t.Context(), s.Redis, u); err == nil {
		t.Error("Redis knows the command nosuch")
	}
	if _, err := Remove(t.Context(), s.Redis, "psydge"); err != nil {
		t.Fatal(err)
	}
	s.admin(t, "SET", "the-end", "x")
	var seen strings.Builder
	_ = watch.SetReadDeadline(time.Now().Add(10 * time.Second))
	for text := make([]byte, 4096); !strings.Contains(seen.String(), "the-end"); {
		n, err := watch.Read(text)
		if err != nil {
			t.Fatal(err)
		}
		seen.Write(text[:n])
	}
	slow, errors := fmt.Sprint(s.admin(t, "SLOWLOG", "GET", "-1")), fmt.Sprint(s.admin(t, "ACL", "LOG"))
	if !strings.Contains(slow, "deluser") {
		t.Errorf("the slow log is empty: %s", slow)
	}
	s.kill() // its log is complete then
	sent := wire.text()
	if !strings.Contains(sent, hashOf(oldPassword)) || !strings.Contains(sent, hashOf(newPassword)) {
		t.Error("what is sent to Redis was not recorded")
	}
	if strings.Contains(sent, oldPassword) || strings.Contains(sent, newPassword) {
		t.Error("a password is sent to Redis")
	}
	for where, text := range map[string]string{"MONITOR": seen.String(), "the slow log": slow, "ACL LOG": errors, "the log": s.log.String()} {
		if strings.Contains(text, "c4n4ry") {
			t.Errorf("%s has a password: %s", where, text)
		}
	}
}

func TestWhatRedisRefuses(t *testing.T) {
	t.Parallel()
	put := func(s *server, u User) error { _, err := Put(context.Background(), s.Redis, u); return err }
	for name, tt := range map[string]struct {
		args []string
		do   func(t *testing.T, s *server) error
		want []string
	}{
		"no ACL file": {
			[]string{"--requirepass", adminPassword},
			func(t *testing.T, s *server) error {
				return put(s, psydge(t, oldPassword))
			},
			[]string{"the Redis user psydge is as it should be, but only until Redis in alorig_redis restarts", `Set "aclfile" in redis.conf (docs/runbook.md, Redis)`},
		},
		"an ACL file that cannot be written": {
			nil, func(t *testing.T, s *server) error {
				file := filepath.Join(s.dir, "users.acl")
				if err := errors.Join(os.Remove(file), os.MkdirAll(filepath.Join(file, "in the way"), 0o755)); err != nil {
					t.Fatal(err)
				}
				return put(s, psydge(t, oldPassword))
			},
			[]string{"it cannot write its ACL file (ERR There was an error trying to save the ACLs", "`docker logs --tail 20 alorig_redis`"},
		},
		"another admin password": {
			nil, func(t *testing.T, s *server) error {
				s.AdminPassword = "c4n4ry"
				_, err := Remove(t.Context(), s.Redis, "psydge")
				return errors.Join(err, put(s, psydge(t, oldPassword)))
			},
			[]string{"the Redis user psydge was not removed", "Redis in alorig_redis refuses the password of its default user; set alorig:redisPassword"},
		},
		"no admin password": {
			nil, func(t *testing.T, s *server) error {
				s.AdminPassword = ""
				return put(s, psydge(t, oldPassword))
			},
			[]string{"Redis in alorig_redis refuses the password of its default user"},
		},
		"an admin that may not": {
			nil, func(t *testing.T, s *server) error {
				s.admin(t, "ACL", "SETUSER", "default", "-acl")
				return put(s, psydge(t, oldPassword))
			},
			[]string{"the default user of Redis in alorig_redis may not change users (NOPERM", "give it `~* &* +@all`"},
		},
		"a permission that it does not know": {
			nil, func(t *testing.T, s *server) error {
				u := psydge(t, oldPassword)
				u.Permissions = []string{"+nosuch"}
				return put(s, u)
			},
			[]string{"the Redis user psydge was not changed: Redis in alorig_redis answers: ERR Error in ACL SETUSER modifier '+nosuch'"},
		},
		"nobody there": {
			nil, func(t *testing.T, s *server) error {
				s.kill()
				return put(s, psydge(t, oldPassword))
			},
			[]string{"Redis in alorig_redis does not answer at /", "connection refused; see `docker logs --tail 20 alorig_redis`, and run the update again"},
		},
		"a script that does not end": {
			[]string{"--busy-reply-threshold", "50"},
			func(t *testing.T, s *server) error {
				busy := s.client(t, "default", adminPassword)
				go busy.Eval(context.Background(), "while true do end", nil)
				for !strings.Contains(fmt.Sprint(s.client(t, "default", adminPassword).Ping(t.Context()).Err()), "BUSY") {
					time.Sleep(20 * time.Millisecond)
				}
				return put(s, psydge(t, oldPassword))
			},
			[]string{"Redis in alorig_redis answers: BUSY"},
		},
		"given up": {
			nil, func(t *testing.T, s *server) error {
				ctx, stop := context.WithCancel(t.Context())
				stop()
				_, err := Put(ctx, s.Redis, psydge(t, oldPassword))
				return err
			},
			[]string{"asking Redis in alorig_redis: context canceled"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tt.do(t, newServer(t, tt.args...))
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("does not say %q: %v", want, err)
				}
			}
			for _, secret := range []string{"c4n4ry", hashOf(oldPassword), hashOf(adminPassword)} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("shows %q: %v", secret, err)
				}
			}
		})
	}
}

// After a restart Redis may read its data for minutes.
func TestAUserIsPutWhileRedisReadsItsData(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--enable-debug-command", "yes")
	s.admin(t, "DEBUG", "POPULATE", 500, "key", 4096)
	s.admin(t, "SAVE")
	s.args = []string{"--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024"} // 5 s
	s.restart(t)
	must(t, "made the Redis user psydge")(Put(t.Context(), s.Redis, psydge(t, oldPassword)))
	if info := fmt.Sprint(s.admin(t, "INFO", "persistence")); !strings.Contains(info, "loading:1") {
		t.Error("Redis had read its data before")
	}
}

func TestWhatIsNoUserOfAnApp(t *testing.T) {
	t.Parallel()
	nowhere := Redis{Container: "alorig_redis", Address: "127.0.0.1:1"}
	for _, name := range []string{"", "default", "psydge on", "psydge\n"} {
		_, put := Put(t.Context(), nowhere, User{Name: name, Password: "x"})
		_, removed := Remove(t.Context(), nowhere, name)
		for _, err := range []error{put, removed} {
			if err == nil || !strings.Contains(err.Error(), "is no name of an app's Redis user") {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	if _, err := Put(t.Context(), nowhere, User{Name: "psydge"}); err == nil || !strings.Contains(err.Error(), "the one given is empty") {
		t.Errorf("no password: %v", err)
	}
	for _, word := range []string{">c4n4ry", "#c4n4ry", "<c4n4ry", "NoPass", "off", "reset"} {
		_, err := Put(t.Context(), nowhere, User{Name: "psydge", Password: "x", Permissions: []string{"+get", word}})
		if err == nil || !strings.Contains(err.Error(), "about its passwords or the user as a whole") || strings.Contains(err.Error(), "c4n4ry") {
			t.Errorf("%q: %v", word, err)
		}
	}
}
