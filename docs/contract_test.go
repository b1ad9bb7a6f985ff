package docs

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
	"github.com/alorig/fleet/stacks"
)

// contract returns the rows of a table of docs/contract.md.
func contract(t *testing.T, section string, head ...string) [][]string {
	t.Helper()
	rows, err := documents(t)["docs/contract.md"].Rows(section, head...)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// The contract lists the secrets of each app, and install.md all those of the first app.
func TestTheContractListsTheSecrets(t *testing.T) {
	t.Parallel()
	fleet := stacks.Alorig()
	listed := map[string][]string{} // by app's title
	for _, row := range contract(t, "Variables", "app", "secrets, in alorig:secrets.APP") {
		title, _, _ := strings.Cut(row[0], ",")
		listed[title] = append(listed[title], strings.Split(row[1], ", ")...)
	}
	passwords := []string{"DATABASE_PASSWORD", "PAYLOAD_DATABASE_PASSWORD", "REDIS_PASSWORD"}
	for _, app := range fleet.Ledger.Apps {
		needed := workload.RequiredSecrets(app, fleet.Workloads[app.Name])
		own := slices.DeleteFunc(slices.Clone(needed), func(name string) bool { return slices.Contains(passwords, name) })
		title := shortTitle(app)
		if got := sortedSet(listed[title]); !slices.Equal(got, sortedSet(own)) {
			t.Errorf("docs/contract.md lists for %s the secrets %v, the program needs %v", title, got, sortedSet(own))
		}
	}
	first := fleet.Ledger.Apps[0]
	var set []string
	for _, b := range documents(t)["docs/install.md"].Blocks {
		loop := regexp.MustCompile(`for name in ([A-Z_ ]+); do`).FindStringSubmatch(b.Text)
		if loop != nil && strings.Contains(b.Text, "alorig:secrets."+first.Name+".$name") {
			set = append(set, strings.Fields(loop[1])...)
		}
	}
	if want := sortedSet(workload.RequiredSecrets(first, fleet.Workloads[first.Name])); !slices.Equal(sortedSet(set), want) {
		t.Errorf("docs/install.md sets for %s the secrets %v, the program needs %v", first.Title, sortedSet(set), want)
	}
}

func sortedSet(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }

// The times that the contract promises are the program's.
func TestTheContractTellsTheTimes(t *testing.T) {
	t.Parallel()
	fleet := stacks.Alorig()
	program := func(app string, role ledger.Role) workload.Program {
		a, _ := fleet.Ledger.App(app)
		c, _ := a.Container(role)
		for _, spec := range fleet.Workloads[app] {
			if spec.Role == role {
				return spec.Process.At(workload.Place{App: a, Container: c})
			}
		}
		t.Fatalf("nothing runs in %s of %s", role, app)
		return workload.Program{}
	}
	backend, worker, beat := program("psydge", ledger.Backend), program("psydge", ledger.Worker), program("psydge", ledger.Beat)
	oldest, err := strconv.Atoi(beat.Probe.Test[len(beat.Probe.Test)-1])
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(read(t, "docs/contract.md")), " ")
	for _, sentence := range []string{
		fmt.Sprintf("asks from inside the container every %d seconds", int(backend.Probe.Interval.Seconds())),
		fmt.Sprintf("the first %d seconds do not count", int(backend.Probe.StartUp.Seconds())),
		fmt.Sprintf("An update waits %d seconds for a new container", int(workload.Patience.Seconds())),
		fmt.Sprintf("a process of the pool takes a task, every %d seconds", int(worker.Probe.Interval.Seconds())),
		fmt.Sprintf("Docker looks every %d seconds", int(beat.Probe.Interval.Seconds())),
		fmt.Sprintf("the probe fails after %d minutes without", oldest/60),
		"The answer has 4 seconds. Three failures",
	} {
		if !strings.Contains(text, sentence) {
			t.Errorf("docs/contract.md does not say %q", sentence)
		}
	}
	if workload.Retries != 3 {
		t.Errorf("%d failures make a container unhealthy", workload.Retries)
	}

	graces := map[string]string{}
	for _, row := range contract(t, "Stop", "container", "grace", "what happens in it") {
		graces[row[0]] = row[1]
	}
	for name, grace := range map[string]time.Duration{
		"backend":  backend.Grace,
		"channels": program("psydge", ledger.Channels).Grace,
		"beat":     beat.Grace,
		"payload":  program("sitebuilder", ledger.Payload).Grace,
	} {
		if want := fmt.Sprintf("%d s", int(grace.Seconds())); graces[name] != want {
			t.Errorf("docs/contract.md gives %s a grace of %s, the program %s", name, graces[name], want)
		}
	}
	var long, short []string
	for _, app := range fleet.Ledger.Apps {
		switch grace := program(app.Name, ledger.Worker).Grace; grace {
		case 5*time.Minute + 20*time.Second:
			long = append(long, app.Title)
		case 2*time.Minute + 20*time.Second:
			short = append(short, app.Title)
		default:
			t.Errorf("the worker of %s has a grace of %s", app.Title, grace)
		}
	}
	if fmt.Sprint(long) != "[Psydge Snapify Alorig Site Builder]" || len(short) != 3 || graces["worker"] != "5 min 20 s for Psydge, Snapify and Site Builder, 2 min 20 s for the others" {
		t.Errorf("docs/contract.md gives workers %q; the long one have %v, the short one %v", graces["worker"], long, short)
	}
}

// Static builds stand where the contract says.
func TestTheContractTellsTheStaticBuilds(t *testing.T) {
	t.Parallel()
	var want, got []string
	for _, app := range ledger.Alorig().Apps {
		for _, route := range app.Routes {
			if route.Static != "" {
				want = append(want, ledger.StaticRoot(app.Name, route.Static)+" "+route.Key())
			}
		}
	}
	for _, row := range contract(t, "Static builds", "directory", "host") {
		host, _, _ := strings.Cut(row[1], ",")
		got = append(got, row[0]+" "+host)
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/contract.md has the static builds %v, the ledger %v", got, want)
	}
}
