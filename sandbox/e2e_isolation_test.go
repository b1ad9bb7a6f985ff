package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// testIsolation tries each app's accounts on what belongs to the others, while workers
// and consumers work with them.
func (s *suite) testIsolation(t *testing.T) {
	t.Run("postgres", s.tryDatabases)
	t.Run("redis", s.tryRedis)
}

// addressOf is where a service is reached on the fleet's network, from this machine too.
func addressOf(t *testing.T, k ledger.Kind) string {
	t.Helper()
	table := fleet
	service, ok := table.Service(k)
	if !ok {
		t.Fatalf("the ledger has no %s", k)
	}
	ip := docker(t, "container", "inspect", "--format", fmt.Sprintf("{{(index .NetworkSettings.Networks %q).IPAddress}}", table.Server.Network), service.Container)
	return net.JoinHostPort(ip, strconv.Itoa(service.Port))
}

// SQL states (PostgreSQL, appendix A).
const (
	notPermitted     = "42501"
	wrongPassword    = "28P01"
	tooMany          = "53300"
	objectNotInState = "55000"
)

func sqlState(err error) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// logIn opens a connection as a role.
func logIn(t *testing.T, address, role, password, database string) (*pgx.Conn, error) {
	t.Helper()
	config, err := pgx.ParseConfig("postgres://" + address + "/?sslmode=disable&connect_timeout=10")
	if err != nil {
		t.Fatal(err)
	}
	config.User, config.Password, config.Database = role, password, database
	config.RuntimeParams["application_name"] = "isolation"
	return pgx.ConnectConfig(context.WithoutCancel(t.Context()), config)
}

// mustLogIn closes the connection when the test has ended.
func mustLogIn(t *testing.T, address, role, password, database string) *pgx.Conn {
	t.Helper()
	c, err := logIn(t, address, role, password, database)
	if err != nil {
		t.Fatalf("%s does not get into %s: %v", role, database, err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func (s *suite) tryDatabases(t *testing.T) {
	ctx := t.Context()
	address := addressOf(t, ledger.Postgres)
	admin := mustLogIn(t, address, "postgres", s.own.Values["postgresPassword"], "postgres")
	column := func(query string, args ...any) []string {
		t.Helper()
		rows, err := admin.Query(ctx, query, args...)
		if err != nil {
			t.Fatal(err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return found
	}

	// The role logs in and then acts as the owner of the database.
	type account struct {
		role, owner, database, password string
		limit                           int
	}
	var accounts []account
	want := []string{"postgres", "template0", "template1"}
	for _, app := range fleet.Apps {
		for _, d := range app.Databases {
			password := s.own.Values["secrets."+app.Name+"."+workload.DatabasePasswordKey(app, d)]
			accounts = append(accounts, account{ledger.LoginRole(d.Role, password), d.Role, d.Name, password, app.ConnectionLimit(d)})
			want = append(want, d.Name)
		}
	}
	databases := column("SELECT datname FROM pg_database ORDER BY datname")
	if slices.Sort(want); !slices.Equal(databases, want) {
		t.Errorf("the databases are %v, want %v", databases, want)
	}
	roles := column("SELECT rolname FROM pg_roles WHERE rolcanlogin ORDER BY rolname")
	want = []string{"postgres"}
	for _, a := range accounts {
		want = append(want, a.role)
	}
	if slices.Sort(want); !slices.Equal(roles, want) {
		t.Errorf("the roles that log in are %v, want %v", roles, want)
	}
	if open := column("SELECT datname FROM pg_database WHERE datallowconn AND has_database_privilege('public', datname, 'CONNECT')"); len(open) > 0 {
		t.Errorf("open to every role: %v", open)
	}
	want = nil
	for _, a := range accounts {
		want = append(want, a.role+" of "+a.owner)
	}
	members := column("SELECT r.rolname || ' of ' || pg_get_userbyid(m.roleid) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname NOT LIKE 'pg\\_%' AND NOT r.rolsuper")
	slices.Sort(members)
	if slices.Sort(want); !slices.Equal(members, want) {
		t.Errorf("the members of roles are %v, want %v", members, want)
	}

	// A ledger of somebody else in the app's own database, which only an administrator's
	// mistake can put there.
	const foreign = "isolation_foreign"
	for i, a := range accounts {
		t.Run(a.owner, func(t *testing.T) {
			if c, err := logIn(t, address, a.owner, a.password, a.database); sqlState(err) != wrongPassword {
				if err == nil {
					_ = c.Close(ctx)
				}
				t.Errorf("the owner itself logs in: %v, want it to have no password", err)
			}
			for _, database := range databases {
				c, err := logIn(t, address, a.role, a.password, database)
				if err == nil {
					_ = c.Close(ctx)
				}
				switch state := sqlState(err); {
				case database == a.database && err != nil:
					t.Errorf("does not get into its own database: %v", err)
				case database != a.database && err == nil:
					t.Errorf("gets into %s", database)
				case database == "template0" && state != objectNotInState && state != notPermitted,
					database != a.database && database != "template0" && state != notPermitted:
					t.Errorf("is refused at %s for another reason: %v", database, err)
				}
			}
			for _, other := range accounts {
				if other.role == a.role {
					continue
				}
				if c, err := logIn(t, address, a.role, other.password, a.database); sqlState(err) != wrongPassword {
					if err == nil {
						_ = c.Close(ctx)
					}
					t.Errorf("the password of %s: %v, want it wrong", other.role, err)
				}
			}

			in := mustLogIn(t, address, "postgres", s.own.Values["postgresPassword"], a.database)
			other := accounts[(i+1)%len(accounts)]
			for _, statement := range []string{
				"DROP SCHEMA IF EXISTS " + foreign + " CASCADE",
				"CREATE SCHEMA " + foreign + " AUTHORIZATION " + other.owner,
				"CREATE TABLE " + foreign + ".secrets AS SELECT 'hers' AS what",
				"ALTER TABLE " + foreign + ".secrets OWNER TO " + other.owner,
				"GRANT USAGE ON SCHEMA " + foreign + " TO PUBLIC",
			} {
				if _, err := in.Exec(ctx, statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			defer func() {
				if _, err := in.Exec(context.WithoutCancel(ctx), "DROP SCHEMA "+foreign+" CASCADE"); err != nil {
					t.Error(err)
				}
			}()

			c := mustLogIn(t, address, a.role, a.password, a.database)
			for _, statement := range []string{
				"CREATE TEMPORARY TABLE own (n integer)", "INSERT INTO own VALUES (1)", "SELECT count(*) FROM own",
				"CREATE TABLE isolation_own (n integer)", "DROP TABLE isolation_own", "SELECT count(*) FROM pg_stat_activity",
			} {
				if _, err := c.Exec(ctx, statement); err != nil {
					t.Errorf("its own work is refused: %s: %v", statement, err)
				}
			}
			for _, statement := range []string{
				"CREATE ROLE isolation", "CREATE ROLE isolation SUPERUSER", "CREATE DATABASE isolation", "DROP ROLE " + other.role, "DROP ROLE " + other.owner,
				"ALTER ROLE " + a.owner + " LOGIN", "ALTER ROLE " + a.owner + " SUPERUSER", "ALTER ROLE " + a.role + " SUPERUSER", "ALTER ROLE " + a.role + " CREATEDB", "ALTER ROLE " + a.role + " CONNECTION LIMIT -1",
				"ALTER ROLE " + other.role + " PASSWORD 'x'", "GRANT " + other.owner + " TO " + a.role, "GRANT " + other.role + " TO " + a.owner,
				"GRANT " + a.owner + " TO " + other.role, "GRANT pg_read_all_data TO " + a.role,
				"SET ROLE " + other.role, "SET ROLE " + other.owner, "SET ROLE postgres", "SET SESSION AUTHORIZATION " + other.role,
				"ALTER DATABASE " + other.database + " OWNER TO " + a.owner, "DROP DATABASE " + other.database, "ALTER DATABASE " + other.database + " RENAME TO mine",
				"GRANT CONNECT ON DATABASE " + other.database + " TO " + a.owner, "GRANT CONNECT ON DATABASE postgres TO " + a.owner,
				"SELECT * FROM " + foreign + ".secrets", "UPDATE " + foreign + ".secrets SET what = 'mine'", "DROP TABLE " + foreign + ".secrets", "DROP SCHEMA " + foreign + " CASCADE",
				"TRUNCATE " + foreign + ".secrets", "CREATE TABLE " + foreign + ".mine (n integer)", "GRANT SELECT ON " + foreign + ".secrets TO PUBLIC",
				"SELECT * FROM pg_authid", "SELECT * FROM pg_shadow", "SELECT * FROM pg_hba_file_rules",
				"SELECT pg_read_file('postgresql.conf')", "SELECT pg_ls_dir('.')", "COPY (SELECT 1) TO PROGRAM 'id'", "COPY (SELECT 1) TO '/tmp/isolation'",
				"CREATE TEMPORARY TABLE lines (line text); COPY lines FROM '/etc/passwd'", "SELECT lo_import('/etc/passwd')",
				"CREATE EXTENSION dblink", "CREATE EXTENSION postgres_fdw", "CREATE EXTENSION file_fdw",
				"ALTER SYSTEM SET max_connections = 1000", "SELECT pg_reload_conf()", "SELECT pg_rotate_logfile()",
				"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> session_user LIMIT 1",
				"CREATE PUBLICATION everything FOR ALL TABLES", "CREATE TABLESPACE mine LOCATION '/tmp'",
			} {
				// The simple protocol takes two statements at once.
				if _, err := c.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); sqlState(err) != notPermitted {
					t.Errorf("%s: %v, want it not permitted", statement, err)
				}
			}
			var seen int
			if err := c.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE usename <> session_user AND query NOT IN ('', '<insufficient privilege>')").Scan(&seen); err != nil || seen > 0 {
				t.Errorf("sees %d statements of others (%v)", seen, err)
			}
			// Whatever a pool does between two uses, what is made belongs to the owner, or the
			// login could not go.
			for _, statement := range []string{"SELECT 1", "RESET ROLE", "SET SESSION AUTHORIZATION DEFAULT", "DISCARD ALL"} {
				var acts string
				_, err := c.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol)
				if err == nil {
					err = c.QueryRow(ctx, "SELECT current_user", pgx.QueryExecModeSimpleProtocol).Scan(&acts)
				}
				if err != nil || acts != a.owner {
					t.Errorf("after %s it acts as %q (%v), want %s", statement, acts, err, a.owner)
				}
			}
			if err := c.Close(ctx); err != nil {
				t.Error(err)
			}

			for _, role := range []string{a.role, a.owner} {
				var reaches bool
				if err := admin.QueryRow(ctx, "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls FROM pg_roles WHERE rolname = $1", role).Scan(&reaches); err != nil || reaches {
					t.Errorf("%s is superuser, makes roles or databases, replicates or bypasses: %t, %v", role, reaches, err)
				}
			}
			var limit int
			if err := admin.QueryRow(ctx, "SELECT rolconnlimit FROM pg_roles WHERE rolname = $1", a.role).Scan(&limit); err != nil || limit != a.limit {
				t.Errorf("its connection limit is %d (%v), want %d", limit, err, a.limit)
			}
			s.fillConnections(t, admin, address, a.role, a.password, a.database, a.limit)
		})
	}
}

// fillConnections opens connections until the role may have no more. It holds them for a
// moment only: what it holds the app itself lacks.
func (s *suite) fillConnections(t *testing.T, admin *pgx.Conn, address, role, password, database string, limit int) {
	t.Helper()
	var held []*pgx.Conn
	defer func() {
		for _, c := range held {
			_ = c.Close(context.Background())
		}
	}()
	for range limit + 1 {
		c, err := logIn(t, address, role, password, database)
		if sqlState(err) == tooMany {
			break
		}
		if err != nil {
			t.Fatalf("connection %d: %v", len(held)+1, err)
		}
		held = append(held, c)
	}
	var counted int
	if err := admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE usename = $1", role).Scan(&counted); err != nil {
		t.Fatal(err)
	}
	if len(held) > limit || counted > limit {
		t.Errorf("%d connections were let in, %d are there, want %d at most", len(held), counted, limit)
	}
	if len(held) == 0 || counted < limit-1 { // one of the app's may have gone since the refusal
		t.Errorf("refused with %d of %d connections, %d of them the test's", counted, limit, len(held))
	}
}

// redisConn speaks to Redis in its own protocol, so that every command is sent as it is.
type redisConn struct {
	c net.Conn
	r *bufio.Reader
}

// redisRefusal is an error that Redis answers.
type redisRefusal string

func (r redisRefusal) Error() string { return string(r) }

// clientName tells the test's connections from the apps' in Redis' log of refusals.
const clientName = "isolation-test"

// logLength is how many refusals Redis keeps for as long as the test provokes them.
const logLength = "100000"

func dialRedis(t *testing.T, address, user, password string) *redisConn {
	t.Helper()
	conn := reachRedis(t, address)
	if _, err := conn.do("HELLO", "2", "AUTH", user, password, "SETNAME", clientName); err != nil {
		t.Fatalf("%s does not log in: %v", user, err)
	}
	return conn
}

// reachRedis is a connection that has not logged in.
func reachRedis(t *testing.T, address string) *redisConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &redisConn{c, bufio.NewReader(c)}
}

// do sends a command and returns its answer: a string, an int64, a slice of answers or nil.
func (c *redisConn) do(words ...string) (any, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	if err := c.c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c.c, b.String()); err != nil {
		return nil, err
	}
	return c.read()
}

func (c *redisConn) read() (any, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	kind, rest := line[0], strings.TrimRight(line[1:], "\r\n")
	switch kind {
	case '+':
		return rest, nil
	case '-':
		return nil, redisRefusal(rest)
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	if err != nil || kind == ':' {
		return n, err
	}
	if n < 0 {
		return nil, nil //nolint:nilnil // Redis' own nothing
	}
	switch kind {
	case '$':
		text := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, text); err != nil {
			return nil, err
		}
		return string(text[:n]), nil
	case '*':
		all := make([]any, n)
		for i := range all {
			if all[i], err = c.read(); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	return nil, fmt.Errorf("Redis says %q", line)
}

// allowed expects an answer.
func (c *redisConn) allowed(t *testing.T, want any, words ...string) {
	t.Helper()
	got, err := c.do(words...)
	if err != nil || want != nil && fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v: %v, %v, want %v", words, got, err, want)
	}
}

// refused expects that the user may not.
func (c *redisConn) refused(t *testing.T, words ...string) {
	t.Helper()
	if got, err := c.do(words...); !isNoPermission(err) {
		t.Errorf("%v: %v, %v, want NOPERM", words, got, err)
	}
}

func isNoPermission(err error) bool {
	var r redisRefusal
	return errors.As(err, &r) && (strings.HasPrefix(string(r), "NOPERM ") || strings.Contains(string(r), "The user executing the script can't "))
}

func (s *suite) tryRedis(t *testing.T) {
	table := fleet
	address := addressOf(t, ledger.Redis)
	admin := dialRedis(t, address, "default", s.own.Values["redisPassword"])
	expectNoDenials(t, admin)
	// The log must not lose what an app was refused among what this test is.
	kept, err := admin.do("CONFIG", "GET", "acllog-max-len")
	if err != nil {
		t.Fatal(err)
	}
	admin.allowed(t, "OK", "CONFIG", "SET", "acllog-max-len", logLength)
	defer admin.allowed(t, "OK", "CONFIG", "SET", "acllog-max-len", fmt.Sprint(kept.([]any)[1]))

	users, err := admin.do("ACL", "USERS")
	want := []any{"default"}
	for _, app := range table.Apps {
		want = append(want, app.Name)
	}
	if got := sortedWords(users); err != nil || !slices.Equal(got, sortedWords(want)) {
		t.Errorf("the users are %v, %v, want %v", got, err, want)
	}

	// Something of everybody's for the others to find; of IGNY8 too, which has no user of
	// its own here.
	const what = "isolation"
	owners := map[string]int{}
	for _, app := range table.Apps {
		owners[app.KeyPrefix] = app.RedisDB
	}
	for _, r := range table.Reserved {
		if r.RedisDB != nil {
			owners[r.Name+":"] = *r.RedisDB
		}
	}
	plant := func(command ...string) {
		for prefix, db := range owners {
			for _, words := range [][]string{{"SELECT", strconv.Itoa(db)}, append([]string{command[0], prefix + what}, command[1:]...)} {
				if _, err := admin.do(words...); err != nil {
					t.Fatalf("%v: %v", words, err)
				}
			}
		}
	}
	plant("SET", "owned")
	defer plant("DEL")

	// The apps use the same accounts meanwhile.
	client := browser(t)
	socket := openSocket(t, client)
	tasks := map[string]int{}
	for app, site := range backends(t) {
		tasks[app] = postTask(t, client, site, 2*time.Second)
	}
	for _, app := range table.Apps {
		t.Run(app.Name, func(t *testing.T) { s.tryRedisUser(t, admin, address, app, owners) })
	}
	for app, site := range backends(t) {
		expectDone(t, client, site, tasks[app])
	}
	socket.close(t)

	expectNoDenials(t, admin)
	// What stands there now is the test's own.
	admin.allowed(t, "OK", "ACL", "LOG", "RESET")
}

// tryRedisUser tries one app's user on its own share of Redis and on everybody's. A refusal
// counts only if it is one of permission.
func (s *suite) tryRedisUser(t *testing.T, admin *redisConn, address string, app ledger.App, owners map[string]int) {
	password := s.own.Values["secrets."+app.Name+"."+workload.RedisPasswordKey]
	c := dialRedis(t, address, app.Name, password)
	own := app.KeyPrefix + "isolation"
	number := strconv.Itoa(app.RedisDB)

	// Its own work.
	c.allowed(t, "OK", "SELECT", number)
	c.allowed(t, "owned", "GET", own)
	c.allowed(t, "OK", "SET", own+".2", "mine", "EX", "60")
	c.allowed(t, 2, "DEL", own+".2", own)
	c.allowed(t, "OK", "SET", own, "owned", "EX", "60")
	c.allowed(t, "owned", "EVAL", "return redis.call('GET', KEYS[1])", "1", own)
	listener := dialRedis(t, address, app.Name, password)
	listener.allowed(t, nil, "SUBSCRIBE", own)
	patterns := dialRedis(t, address, app.Name, password)
	patterns.allowed(t, nil, "PSUBSCRIBE", app.KeyPrefix+"*")
	c.allowed(t, 2, "PUBLISH", own, "hello")
	for _, l := range []*redisConn{listener, patterns} {
		if got, err := l.read(); err != nil || !strings.HasSuffix(fmt.Sprint(got), " hello]") {
			t.Errorf("it hears %v, %v on its own channel", got, err)
		}
	}

	// Everybody else's.
	for prefix, db := range owners {
		if prefix == app.KeyPrefix {
			continue
		}
		theirs, other := prefix+"isolation", strconv.Itoa(db)
		c.refused(t, "SELECT", other)
		c.refused(t, "EVAL", "return redis.call('SELECT', '"+other+"')", "0")
		c.refused(t, "MOVE", own, other)
		c.refused(t, "COPY", own, app.KeyPrefix+"copy", "DB", other)
		c.refused(t, "SWAPDB", number, other)
		for _, words := range [][]string{
			{"GET", theirs},
			{"EXISTS", theirs},
			{"TYPE", theirs},
			{"TTL", theirs},
			{"STRLEN", theirs},
			{"DUMP", theirs},
			{"OBJECT", "ENCODING", theirs},
			{"MEMORY", "USAGE", theirs},
			{"SET", theirs, "mine"},
			{"DEL", theirs},
			{"UNLINK", theirs},
			{"EXPIRE", theirs, "1"},
			{"LPUSH", prefix + "celery", "task"},
			{"LLEN", prefix + "celery"},
			{"BLPOP", prefix + "celery", "1"},
			{"MGET", own, theirs},
			{"RENAME", own, theirs},
			{"RENAME", theirs, own},
			{"COPY", theirs, own},
			{"EVAL", "return redis.call('GET', KEYS[1])", "1", theirs},
			{"EVAL", "return redis.call('GET', '" + theirs + "')", "0"},
			{"SORT", own, "BY", prefix + "*", "GET", prefix + "*"},
			{"PUBLISH", theirs, "hello"},
			{"SPUBLISH", theirs, "hello"},
			{"SUBSCRIBE", theirs},
			{"SUBSCRIBE", own, theirs},
			{"SSUBSCRIBE", theirs},
			{"PSUBSCRIBE", prefix + "*"},
			{"PSUBSCRIBE", theirs},
			{"PUBLISH", prefix + "/" + other + ".celery.pidbox", "{}"},
			{"PSUBSCRIBE", prefix + "/" + other + ".celery.pidbox"},
		} {
			c.refused(t, words...)
		}
	}
	for _, db := range []string{"0", "1", "8", "15"} {
		if db != number {
			c.refused(t, "SELECT", db)
		}
	}

	// Names that are nearly its own, and everything at once.
	bare := strings.TrimSuffix(app.KeyPrefix, ":")
	for _, near := range []string{bare, bare + "x:isolation", strings.ToUpper(app.KeyPrefix) + "isolation", "x" + app.KeyPrefix + "isolation", "", "*", "isolation", "celery", "_kombu.binding.celery"} {
		c.refused(t, "GET", near)
		c.refused(t, "SET", near, "x")
	}
	for _, near := range []string{"*", bare + "*", bare + "?*", "__keyspace@" + number + "__:*", "__keyevent@" + number + "__:set", "/" + number + ".celery.pidbox"} {
		c.refused(t, "PSUBSCRIBE", near)
		c.refused(t, "SUBSCRIBE", near)
	}
	c.refused(t, "KEYS", "*")
	c.refused(t, "KEYS", app.KeyPrefix+"*")
	c.refused(t, "PUBSUB", "CHANNELS")
	c.refused(t, "SORT", own)
	for _, words := range [][]string{
		{"FLUSHDB"},
		{"FLUSHALL"},
		{"CONFIG", "GET", "*"},
		{"CONFIG", "SET", "maxmemory-policy", "allkeys-lru"},
		{"CONFIG", "RESETSTAT"},
		{"ACL", "LIST"},
		{"ACL", "USERS"},
		{"ACL", "GETUSER", "default"},
		{"ACL", "SETUSER", app.Name, "allkeys"},
		{"ACL", "LOG"},
		{"ACL", "SAVE"},
		{"ACL", "LOAD"},
		{"ACL", "DELUSER", "nobody"},
		{"SCRIPT", "FLUSH"},
		{"SCRIPT", "KILL"},
		{"FUNCTION", "FLUSH"},
		{"FUNCTION", "LIST"},
		{"FUNCTION", "LOAD", "#!lua name=isolation\nredis.register_function('isolation', function() return 1 end)"},
		{"CLIENT", "LIST"},
		{"CLIENT", "KILL", "TYPE", "normal"},
		{"CLIENT", "PAUSE", "1"},
		{"CLIENT", "TRACKING", "ON", "BCAST"},
		{"MONITOR"},
		{"INFO"},
		{"ROLE"},
		{"SAVE"},
		{"BGSAVE"},
		{"BGREWRITEAOF"},
		{"LASTSAVE"},
		{"SHUTDOWN", "NOSAVE"},
		{"REPLICAOF", "NO", "ONE"},
		{"SLOWLOG", "GET"},
		{"LATENCY", "LATEST"},
		{"DEBUG", "SLEEP", "0"},
		{"MODULE", "LIST"},
		{"MIGRATE", "127.0.0.1", "6379", own, "0", "10"},
		{"RESTORE", own, "0", "x"},
		{"SYNC"},
		{"PSYNC", "?", "-1"},
		{"CLUSTER", "RESET"},
		{"FAILOVER", "ABORT"},
	} {
		// Asked first, since one that is let through harms the fleet.
		said, err := admin.do(append([]string{"ACL", "DRYRUN", app.Name}, words...)...)
		if err != nil || !strings.Contains(fmt.Sprint(said), "has no permissions to run") {
			t.Errorf("%v would be let through: %v, %v", words, said, err)
			continue
		}
		if got, err := c.do(words...); err == nil { // DEBUG has a refusal of its own, too
			t.Errorf("%v: %v", words, got)
		}
	}

	// A connection begins in DB 0, which is IGNY8's, and need not leave it. What is in a key
	// is safe there too; its name must be.
	zero := dialRedis(t, address, app.Name, password)
	for prefix := range owners {
		if prefix != app.KeyPrefix {
			zero.refused(t, "GET", prefix+"isolation")
			zero.refused(t, "SET", prefix+"isolation", "mine")
		}
	}
	for where, conn := range map[string]*redisConn{"its own DB": c, "DB 0, without a SELECT": zero} {
		for _, name := range append(listed(t, conn, "*"), drawn(t, conn)...) {
			if !strings.HasPrefix(name, app.KeyPrefix) {
				t.Errorf("in %s it comes to know of the key %q", where, name)
			}
		}
	}

	// Nobody gets in with another's password, or with none.
	for _, login := range [][]string{
		{"AUTH", password}, {"AUTH", "default", password}, {"AUTH", app.Name, ""}, {"AUTH", "default", ""},
	} {
		if got, err := zero.do(login...); err == nil {
			t.Errorf("%s logs in: %v", login[:len(login)-1], got)
		}
	}
	for other := range owners {
		if name := strings.TrimSuffix(other, ":"); name != app.Name {
			if got, err := zero.do("AUTH", name, password); err == nil {
				t.Errorf("its password opens %s: %v", name, got)
			}
		}
	}
}

// listed are the keys that SCAN gives, none where the user may not use it.
func listed(t *testing.T, c *redisConn, pattern string) []string {
	t.Helper()
	var found []string
	for cursor := "0"; ; {
		answer, err := c.do("SCAN", cursor, "MATCH", pattern, "COUNT", "1000")
		if isNoPermission(err) {
			return nil
		}
		parts, ok := answer.([]any)
		if err != nil || !ok || len(parts) != 2 {
			t.Errorf("SCAN: %v, %v", answer, err)
			return found
		}
		found = append(found, sortedWords(parts[1])...)
		if cursor = fmt.Sprint(parts[0]); cursor == "0" {
			return found
		}
	}
}

// drawn is a key by chance, if the user may ask for one and there is any.
func drawn(t *testing.T, c *redisConn) []string {
	t.Helper()
	key, err := c.do("RANDOMKEY")
	if err != nil && !isNoPermission(err) {
		t.Errorf("RANDOMKEY: %v", err)
	}
	if err != nil || key == nil {
		return nil
	}
	return []string{fmt.Sprint(key)}
}

func sortedWords(answer any) []string {
	var all []string
	words, _ := answer.([]any)
	for _, w := range words {
		all = append(all, fmt.Sprint(w))
	}
	slices.Sort(all)
	return all
}

// expectNoDenials expects that Redis has refused nothing but what this test provoked: the
// apps' own processes keep within what their users may.
func expectNoDenials(t *testing.T, admin *redisConn) {
	t.Helper()
	log, err := admin.do("ACL", "LOG", logLength)
	entries, ok := log.([]any)
	if err != nil || !ok {
		t.Fatalf("ACL LOG: %v, %v", log, err)
	}
	for _, entry := range entries {
		fields, _ := entry.([]any)
		of := map[string]string{}
		for i := 0; i+1 < len(fields); i += 2 {
			of[fmt.Sprint(fields[i])] = fmt.Sprint(fields[i+1])
		}
		if of["client-info"] == "" {
			t.Fatalf("an entry of ACL LOG reads %v", entry)
		}
		if !strings.Contains(of["client-info"], " name="+clientName+" ") {
			t.Errorf("%s was refused %s of %s (%s) %s times: %s", of["username"], of["object"], of["reason"], of["context"], of["count"], of["client-info"])
		}
	}
}
