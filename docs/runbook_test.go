package docs

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/alorig/fleet/internal/ledger"
)

// The figures that the runbook gives an operator are the ledger's.
func TestTheRunbookTellsTheLedger(t *testing.T) {
	t.Parallel()
	l := ledger.Alorig()
	text := strings.Join(strings.Fields(read(t, "docs/runbook.md")), " ")
	expect := func(sentence string) {
		if !strings.Contains(text, sentence) {
			t.Errorf("docs/runbook.md does not say %q", sentence)
		}
	}
	for _, s := range l.Services {
		if s.OnDemand {
			expect(fmt.Sprintf("--name %s --network %s --memory %dm --memory-swap %dm", s.Container, l.Server.Network, s.Memory.Limit, s.Memory.Limit))
		} else {
			expect(fmt.Sprintf("docker update --memory %dm --memory-swap %dm %s", s.Memory.Limit, s.Memory.Limit, s.Container))
		}
	}
	for _, r := range l.Reserved {
		switch r.Name {
		case "os":
			expect(fmt.Sprintf("of %d MiB", l.Server.UpgradeTrigger-r.Memory.Steady))
			expect(fmt.Sprintf("The trigger of %s is %d MiB, of which %d belong to the system", l.Server.UpgradeTrigger, l.Server.UpgradeTrigger, r.Memory.Steady))
		case "igny8":
			expect(fmt.Sprintf("IGNY8 production has %d MB for its five containers together", r.Memory.Limit))
		case "igny8-staging":
			expect(fmt.Sprintf("staging %d MB", r.Memory.Limit))
		}
	}
	expect(fmt.Sprintf("`max_connections` at least %d: the ledger gives out %d, and 3 stay for the superuser", l.Server.Connections+3, l.Server.Connections))
	postgres, _ := l.Service(ledger.Postgres)
	expect(fmt.Sprintf("--shm-size %dm", postgres.SharedMemory()))
	redis, _ := l.Service(ledger.Redis)
	expect(fmt.Sprintf("maxmemory %dmb", redis.Data()))

	rows, err := documents(t)["docs/runbook.md"].Rows("After each app", "app", "Redis DB", "queue")
	if err != nil {
		t.Fatal(err)
	}
	var want [][]string
	for _, a := range l.Apps {
		want = append(want, []string{shortTitle(a), strconv.Itoa(a.RedisDB), a.KeyPrefix + "celery"})
	}
	if fmt.Sprint(rows) != fmt.Sprint(want) {
		t.Errorf("docs/runbook.md has the queues %v, the ledger %v", rows, want)
	}
}

// shortTitle is what the documents call an app.
func shortTitle(a ledger.App) string {
	return strings.TrimSuffix(strings.TrimPrefix(a.Title, "Alorig "), " Phase 1")
}
