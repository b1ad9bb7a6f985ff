package main

import (
	"testing"

	"github.com/alorig/fleet/internal/ledger"
)

// The processes of a parallel query share their hash tables in /dev/shm, of which Docker gives a
// container 64 MB unless it is told otherwise.
func (s *suite) testPostgresMemory(t *testing.T) {
	address, password := addressOf(t, ledger.Postgres), s.own.Values["postgresPassword"]
	admin := mustLogIn(t, address, "postgres", password, "postgres")
	run := func(statement string) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	run("CREATE DATABASE trial")
	defer run("DROP DATABASE trial WITH (FORCE)")
	trial := mustLogIn(t, address, "postgres", password, "trial")
	for _, statement := range []string{
		"CREATE TABLE one AS SELECT g AS id, md5(g::text) AS text FROM generate_series(1, 2000000) g",
		"CREATE TABLE other AS SELECT * FROM one",
		"ANALYZE one, other",
		"SET work_mem = '32MB'", "SET enable_mergejoin = off", "SET enable_nestloop = off",
		"SET parallel_setup_cost = 0", "SET parallel_tuple_cost = 0", "SET min_parallel_table_scan_size = 0",
		"SELECT count(*) FROM one JOIN other USING (id) WHERE one.text <> other.text || 'x'",
	} {
		if _, err := trial.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}
