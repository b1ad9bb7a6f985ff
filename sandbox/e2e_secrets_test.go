package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alorig/fleet/internal/ledger"
)

// canaries are texts that may stand nowhere, with the name of the secret that each gives
// away.
type canaries map[string]string

// addSecret adds a secret in the forms in which it could be written.
func (c canaries) addSecret(name, value string) {
	c[value] = name
	c[url.QueryEscape(value)] = name + ", escaped"
	c[url.PathEscape(value)] = name + ", escaped"
	c[hex.EncodeToString([]byte(value))] = name + ", hexadecimal"
	if quoted, err := json.Marshal(value); err == nil {
		c[strings.Trim(string(quoted), `"`)] = name + ", as JSON"
	}
	// Base64 of a text that holds it, as a login header does: three forms, by where in
	// the text it begins. What neighbouring letters decide is left out.
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			encoded := encoding.EncodeToString([]byte(strings.Repeat("x", before) + value))
			first := (before*8 + 5) / 6
			last := (before + len(value)) * 8 / 6
			c[encoded[first:last]] = name + ", base64"
		}
	}
	c[value] = name
}

// secretCanaries are all secrets of the sandbox.
func (s *suite) secretCanaries(t *testing.T) canaries {
	t.Helper()
	all := canaries{}
	all.addSecret("passphrase", s.own.Passphrase)
	for name, value := range s.own.Values {
		all.addSecret(name, value)
	}
	if len(s.own.Passphrase) < 20 || len(s.own.Values) != len(secretKeys()) {
		t.Fatalf("there are %d secrets, want %d", len(s.own.Values), len(secretKeys()))
	}
	for text, name := range all {
		if len(text) < 20 {
			t.Fatalf("%s is too short to be looked for", name)
		}
	}
	return all
}

// in names the secrets that a text gives away.
func (c canaries) in(text []byte) []string {
	var found []string
	for canary, name := range c {
		if bytes.Contains(text, []byte(canary)) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// expectNone expects a text, and no secret in it.
func (c canaries) expectNone(t *testing.T, where string, text []byte) {
	t.Helper()
	if len(bytes.TrimSpace(text)) == 0 {
		t.Errorf("%s: there is nothing to search", where)
	}
	if found := c.in(text); len(found) > 0 {
		t.Errorf("%s gives away %v", where, found)
	}
}

// tree searches every file below a directory, compressed ones too, but for the skipped,
// and returns how many there were.
func (c canaries) tree(t *testing.T, directory string, skip ...string) int {
	t.Helper()
	files := 0
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || slices.Contains(skip, path) {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		if zipped, err := gzip.NewReader(bytes.NewReader(text)); err == nil {
			plain, err := io.ReadAll(zipped)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			text = append(text, plain...)
		}
		if found := c.in(text); len(found) > 0 {
			t.Errorf("%s gives away %v", path, found)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return files
}

// What the search for secrets can find.
func TestCanariesAreFound(t *testing.T) {
	t.Parallel()
	const secret = "a secret: 5+5=10/2?"
	all := canaries{}
	all.addSecret("KEY", secret)
	forms := map[string]string{
		"plain": secret, "query": "?token=" + url.QueryEscape(secret), "path": "/" + url.PathEscape(secret), "hex": hex.EncodeToString([]byte(secret)),
		"json": `{"key":"` + secret + `"}`,
	}
	for before := range 7 {
		for after := range 4 {
			login := strings.Repeat("u", before) + secret + strings.Repeat("v", after)
			forms[fmt.Sprint("base64 ", before, after)] = base64.StdEncoding.EncodeToString([]byte(login))
			forms[fmt.Sprint("base64url ", before, after)] = base64.URLEncoding.EncodeToString([]byte(login))
		}
	}
	for form, text := range forms {
		if found := all.in([]byte("before " + text + " after")); len(found) == 0 {
			t.Errorf("%s is not found in %s", form, text)
		}
	}
	for _, text := range []string{"", secret[1:], "another secret"} {
		if found := all.in([]byte(text)); len(found) > 0 {
			t.Errorf("%v is found in %q", found, text)
		}
	}
}

// plainFiles are the sandbox's own that hold secrets on purpose, for their owner alone.
var plainFiles = []string{"secrets.json", "env"}

// testSecrets looks for every secret of the sandbox wherever an operator, a neighbour or a
// backup could come upon it.
func (s *suite) testSecrets(t *testing.T) {
	all := s.secretCanaries(t)
	t.Run("the search finds", func(t *testing.T) { expectFinds(t, all, s.own) })
	t.Run("pulumi", func(t *testing.T) { s.searchPulumi(t, all) })
	t.Run("state", func(t *testing.T) { s.searchState(t, all) })
	t.Run("containers", func(t *testing.T) { s.searchContainers(t, all) })
	t.Run("caddy", func(t *testing.T) { s.searchCaddy(t, all) })
	t.Run("postgres", func(t *testing.T) { s.searchPostgres(t, all) })
	t.Run("redis", func(t *testing.T) { s.searchRedis(t, all) })
}

// expectFinds plants a secret in a file and expects the search to find it.
func expectFinds(t *testing.T, all canaries, own ownSecrets) {
	t.Helper()
	for name, planted := range map[string]string{
		"plain": own.Values["redisPassword"], "base64": base64.StdEncoding.EncodeToString([]byte("user:" + own.Passphrase)),
	} {
		scratch := filepath.Join(t.TempDir(), "scratch")
		if err := os.WriteFile(scratch, []byte("a line\nand "+planted+" in it\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(scratch)
		if err != nil || len(all.in(text)) != 1 {
			t.Errorf("in a file with a secret, %s, the search finds %v (%v)", name, all.in(text), err)
		}
	}
}

// searchPulumi searches what the suite has seen Pulumi say, and what it says to whoever
// looks at the stack.
func (s *suite) searchPulumi(t *testing.T, all canaries) {
	t.Helper()
	watch := s.watchCommandLines(t)
	defer watch()
	for _, args := range [][]string{
		{"preview", "--diff", "--policy-pack", s.pack()},
		{"preview", "--json", "--policy-pack", s.pack()},
		{"preview", "--diff", "--refresh", "--show-reads", "--show-sames"},
		{"stack", "export"},
		{"stack", "--show-urns", "--show-ids"},
		{"stack", "history"},
		{"stack", "history", "--json"},
		{"stack", "output", "--json"},
		{"config"},
		{"config", "--json"},
	} {
		said, err := s.pulumiQuietly(t, args...)
		if err != nil {
			t.Errorf("pulumi %v: %v: %.2000s", args, err, said)
		}
		all.expectNone(t, fmt.Sprintf("pulumi %v", args), []byte(said))
		if args[0] == "stack" && args[1] == "export" && !strings.Contains(said, "ciphertext") {
			t.Errorf("the export holds no encrypted value: %.500s", said)
		}
	}
	s.mu.Lock()
	said := bytes.Clone(s.said.Bytes())
	s.mu.Unlock()
	if found := all.in(said); len(found) > 0 {
		t.Errorf("what Pulumi has said so far gives away %v", found)
	}
}

// searchState searches what the sandbox keeps: the state with all its copies, settings,
// records, logs.
func (s *suite) searchState(t *testing.T, all canaries) {
	t.Helper()
	var skip []string
	for _, name := range plainFiles {
		skip = append(skip, s.file(name))
		if info, err := os.Stat(s.file(name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is readable by others: %v, %v", name, info, err)
		}
	}
	all.tree(t, s.dir, skip...)
	// The search above must have come upon these.
	for _, kind := range []string{"stacks", "backups", "history"} {
		if files := all.tree(t, s.file("state/.pulumi/"+kind)); files == 0 {
			t.Errorf("there are no %s in the state", kind)
		}
	}
	for _, name := range []string{configFile, "records.json"} {
		text, err := os.ReadFile(s.file(name))
		if err != nil {
			t.Error(err)
		}
		all.expectNone(t, name, text)
	}
}

// searchContainers searches all that the engine knows of a container but its variables,
// and what it has printed. Variables hold the secrets that the container needs, and must
// hold no other.
func (s *suite) searchContainers(t *testing.T, all canaries) {
	t.Helper()
	own := map[string][]string{
		"alorig_postgres": {"postgresPassword"}, "alorig_redis": {"redisPassword"}, "alorig_caddy": {"cloudflareApiToken"},
	}
	found := inspectStack(t)
	for name, c := range found {
		text := docker(t, "container", "inspect", name)
		var whole []map[string]any
		if err := json.Unmarshal([]byte(text), &whole); err != nil || len(whole) != 1 {
			t.Fatalf("%s: %v", name, err)
		}
		config, ok := whole[0]["Config"].(map[string]any)
		if !ok {
			t.Fatalf("%s has no Config", name)
		}
		delete(config, "Env")
		rest, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		all.expectNone(t, "docker inspect "+name, rest)
		s.expectOwnVariables(t, all, name, c, own[name])

		said, err := exec.Command("docker", "logs", name).CombinedOutput()
		if err != nil {
			t.Errorf("docker logs %s: %v", name, err)
		}
		all.expectNone(t, "docker logs "+name, said)
		all.expectNone(t, "docker top "+name, []byte(docker(t, "top", name, "-eo", "pid,args")))
	}
	for _, kind := range []string{"network", "volume", "image"} {
		filter := "label=" + ledger.LabelStack + "=" + stack
		if kind == "image" {
			filter = "reference=alorig-sandbox/*"
		}
		names := lines(docker(t, kind, "ls", "--quiet", "--filter", filter))
		if len(names) == 0 {
			t.Errorf("no %s is the sandbox's", kind)
			continue
		}
		all.expectNone(t, "docker "+kind+" inspect", []byte(docker(t, append([]string{kind, "inspect"}, names...)...)))
		if kind == "image" {
			for _, name := range names {
				all.expectNone(t, "docker image history", []byte(docker(t, "image", "history", "--no-trunc", name)))
			}
		}
	}
}

// expectOwnVariables expects the container's secrets in its variables, and nobody else's.
func (s *suite) expectOwnVariables(t *testing.T, all canaries, name string, c inspected, own []string) {
	t.Helper()
	index := ledger.NewIndex(fleet)
	needed := "" // one secret that must be there, or the search looks in the wrong place
	if len(own) > 0 {
		needed = own[0]
	} else if app, ok := index.ContainerNamed(name); ok {
		own = []string{"secrets." + app.App.Name + "."}
		needed = own[0] + "REDIS_PASSWORD"
	}
	seen := all.in([]byte(strings.Join(c.Config.Env, "\n")))
	if !slices.Contains(seen, needed) {
		t.Errorf("%s does not have %s in its variables", name, needed)
	}
	for _, secret := range seen {
		if !slices.ContainsFunc(own, func(prefix string) bool { return strings.HasPrefix(secret, prefix) }) {
			t.Errorf("%s has %s in its variables", name, secret)
		}
		// Payload and Django are one app with two databases: each has its own password only.
		container, _ := index.ContainerNamed(name)
		if isPayload := strings.HasSuffix(secret, ".PAYLOAD_DATABASE_PASSWORD") || strings.HasSuffix(secret, ".PAYLOAD_SECRET"); isPayload && container.Role != ledger.Payload {
			t.Errorf("%s has %s in its variables", name, secret)
		}
		if strings.HasSuffix(secret, ".DATABASE_PASSWORD") && container.Role == ledger.Payload {
			t.Errorf("%s has %s in its variables", name, secret)
		}
	}
}

// searchCaddy searches the rendered files, and all that Caddy itself keeps.
func (s *suite) searchCaddy(t *testing.T, all canaries) {
	t.Helper()
	apps := fleet.Apps
	if files := all.tree(t, s.caddy()); files < len(apps)+1 {
		t.Errorf("%d rendered files are there, want %d", files, len(apps)+1)
	}
	loaded := docker(t, "exec", "alorig_caddy", "wget", "-q", "-O", "-", "http://localhost:2019/config/")
	if !strings.Contains(loaded, "psydge.com") {
		t.Errorf("Caddy has loaded %.200q", loaded)
	}
	all.expectNone(t, "what Caddy has loaded", []byte(loaded))
	all.expectNone(t, "what Caddy keeps", []byte(docker(t, "exec", "alorig_caddy", "sh", "-c", "find /etc/caddy /data /config -type f -exec cat {} + 2>/dev/null || true")))
}

// searchPostgres searches the statements that PostgreSQL shows to other sessions. Its log
// goes to its container's.
func (s *suite) searchPostgres(t *testing.T, all canaries) {
	t.Helper()
	admin := mustLogIn(t, addressOf(t, ledger.Postgres), "postgres", s.own.Values["postgresPassword"], "postgres")
	for _, query := range []string{
		"SELECT coalesce(query, '') || coalesce(application_name, '') FROM pg_stat_activity",
		"SELECT coalesce(shobj_description(oid, 'pg_authid'), '') || rolname || coalesce(rolpassword, '') FROM pg_authid",
		"SELECT name || coalesce(setting, '') FROM pg_settings",
	} {
		rows, err := admin.Query(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		all.expectNone(t, query, []byte(strings.Join(found, "\n")))
	}
	var log string
	if err := admin.QueryRow(t.Context(), "SELECT current_setting('logging_collector')").Scan(&log); err != nil || log != "off" {
		t.Errorf("PostgreSQL writes its log elsewhere: %s, %v", log, err)
	}
}

// searchRedis searches what Redis keeps of commands and of its users.
func (s *suite) searchRedis(t *testing.T, all canaries) {
	t.Helper()
	admin := dialRedis(t, addressOf(t, ledger.Redis), "default", s.own.Values["redisPassword"])
	for _, words := range [][]string{{"SLOWLOG", "GET", "-1"}, {"ACL", "LIST"}, {"ACL", "LOG", "1000"}, {"CLIENT", "LIST"}, {"CONFIG", "GET", "*"}, {"INFO", "everything"}} {
		answer, err := admin.do(words...)
		if err != nil {
			t.Errorf("%v: %v", words, err)
		}
		all.expectNone(t, fmt.Sprint("Redis: ", words), fmt.Append(nil, answer))
	}
	users := docker(t, "exec", "alorig_redis", "cat", "/data/users.acl")
	if !strings.Contains(users, "user psydge ") {
		t.Errorf("the ACL file reads %.500s", users)
	}
	all.expectNone(t, "the ACL file", []byte(users))
}

// watchCommandLines looks at the command line of every process on this machine, in
// containers too, every 20 ms, until the function it returns is called; that one expects
// to have seen no secret. Whoever lives shorter than that may be missed.
func (s *suite) watchCommandLines(t *testing.T) func() {
	t.Helper()
	all := s.secretCanaries(t)
	// A secret on the command line of a process that the test starts itself: if the watch
	// misses that one, it watches nothing.
	planted := random()
	all.addSecret("planted", planted)
	watch := &commandLines{seen: map[string]bool{}, processes: map[int]int{}}
	stop := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		every := time.NewTicker(20 * time.Millisecond)
		defer every.Stop()
		for {
			watch.look()
			select {
			case <-stop:
				return
			case <-every.C:
			}
		}
	})
	if err := exec.Command("sh", "-c", "sleep 0.5; :", planted).Run(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	return func() {
		t.Helper()
		once.Do(func() {
			close(stop)
			ended.Wait()
			leaks := map[string]string{} // programs by the secret they were given
			for line := range watch.seen {
				for _, name := range all.in([]byte(line)) {
					leaks[name], _, _ = strings.Cut(line, "\x00")
				}
			}
			if leaks["planted"] == "" {
				t.Errorf("the watch has not seen the command line it must see, of %d", len(watch.seen))
			}
			delete(leaks, "planted")
			for _, name := range slices.Sorted(maps.Keys(leaks)) {
				t.Errorf("%s stood on a command line of %.60q", name, leaks[name])
			}
			t.Logf("%d command lines in %d looks", len(watch.seen), watch.looks)
		})
	}
}

// commandLines are all that a watch has seen.
type commandLines struct {
	seen      map[string]bool
	processes map[int]int // how often each was looked at
	looks     int
}

// look reads the command lines of processes that are new, and now and then of all: one
// changes when a process becomes another program, which it mostly does at its beginning.
func (c *commandLines) look() {
	c.looks++
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return // look again
	}
	present := make(map[int]int, len(c.processes))
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		looks := c.processes[pid] + 1
		present[pid] = looks
		if looks > 25 && looks%50 != 0 {
			continue
		}
		if line, err := os.ReadFile("/proc/" + entry.Name() + "/cmdline"); err == nil && len(line) > 0 {
			c.seen[string(line)] = true
		}
	}
	c.processes = present
}
