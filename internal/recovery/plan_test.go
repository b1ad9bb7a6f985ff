package recovery

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// web and worker are two containers of an app, db a shared service.
func testDeclared() Declared {
	slot := func(name string) Slot {
		return Slot{Container: name, Next: name + "_next", Previous: name + "_previous", Needed: true}
	}
	later := slot("later_web")
	later.Needed = false
	return Declared{
		Slots:      []Slot{slot("web"), slot("worker"), later, {Container: "db", Needed: true, Volume: "db_data"}},
		Migrations: map[string]bool{"app_migrate": true}, Network: "net",
	}
}

func box(name, condition string) Container {
	status, health, _ := strings.Cut(condition, "/")
	return Container{Name: name, ID: "id-" + name, Status: status, Health: health, Ours: true}
}

func known(name, condition string) Container {
	c := box(name, condition)
	c.InState = true
	return c
}

func foreign(name string) Container {
	c := box(name, "running")
	c.Ours = false
	return c
}

const urn = "urn:pulumi:test::alorig::"

func TestRecoverPlan(t *testing.T) {
	since := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	lock := func(v Verdict) Lock {
		return Lock{Key: "k", PID: 7, User: "op", Host: "there", Since: since, Verdict: v, Why: "why"}
	}
	for _, tt := range []struct {
		name      string
		found     Found
		steps     []string // action, name and what tells it from others
		undecided []string // stands in one
		notes     []string
	}{
		{name: "nothing"},
		{name: "a server as it should be", found: Found{
			Containers: []Container{known("web", "running/healthy"), known("worker", "running"), known("db", "running/healthy")},
			Networks:   []Network{{Name: "net", ID: "n", Ours: true, InState: true, Containers: []string{"web"}}},
		}},
		{
			name: "a container that somebody has stopped", found: Found{Containers: []Container{known("worker", "exited")}},
			notes: []string{"The container worker (exited) does not run. The next update starts it."},
		},
		{
			name: "a container that somebody has removed", found: Found{Missing: []Missing{{"web", urn + "web"}}},
			steps: []string{"settle test " + urn + "web"},
		},
		{
			name: "one that is missing, beside what was under way", found: Found{Missing: []Missing{{"web", urn + "web"}}, Operations: []Operation{{Kind: "updating", Type: "a:b:C", Name: "x", URN: urn + "x", InState: true}}},
			steps: []string{"settle test " + urn + "web " + urn + "x"},
		},

		{name: "dead lock", found: Found{Locks: []Lock{lock(Dead)}}, steps: []string{"break-lock k"}},
		{
			name:      "living lock: nothing else is touched",
			found:     Found{Locks: []Lock{lock(Dead), lock(Alive)}, Containers: []Container{box("web", "created")}, Operations: []Operation{{Kind: creating, URN: urn + "a"}}},
			undecided: []string{"The lock of op@there, pid 7, since 2026-11-24T10:00:00Z (file k in file:///state): why. Wait until it has finished, or end it there with Ctrl-C, and run this again (docs/runbook.md, When an update fails)."},
		},
		{name: "living lock, against the operator's word", found: Found{Locks: []Lock{lock(Alive)}, Trusted: true}, undecided: []string{"Wait until"}},
		{name: "lock of another machine", found: Found{Locks: []Lock{lock(Unknowable)}}, undecided: []string{"(file k in file:///state): why. So it cannot be known from here whether it is still updating. Look where it was started, on the machine or in the container, for the process (`ps -p 7`). If it has ended, run this again with --lock-holder-is-gone (docs/runbook.md, When an update fails)."}},
		{name: "lock of another machine, by the operator's word", found: Found{Locks: []Lock{lock(Unknowable)}, Trusted: true}, steps: []string{"break-lock k"}},
		{name: "lock that cannot be read", found: Found{Locks: []Lock{{Key: "a/b.json", Verdict: Unknowable, Why: "the file cannot be read"}}}, undecided: []string{"The lock of an unknown process (file a/b.json in file:///state): the file cannot be read. If nobody updates test anywhere"}},

		{name: "a backend without lock files, and nothing to do", found: Found{NoLocks: true}},
		{name: "a backend without lock files", found: Found{NoLocks: true, Containers: []Container{box("web", "running/healthy")}}, undecided: []string{"file:///state does not show its locks. `pulumi stack --stack test` shows one"}},
		{name: "a backend without lock files, by the operator's word", found: Found{NoLocks: true, Trusted: true, Containers: []Container{box("web", "running/healthy")}}, steps: []string{"remove-container web"}},

		{name: "orphan", found: Found{Containers: []Container{box("web", "running/healthy")}}, steps: []string{"remove-container web"}},
		{name: "orphan of an app to come", found: Found{Containers: []Container{box("later_web", "exited")}}, steps: []string{"remove-container later_web"}},
		{name: "somebody else's", found: Found{Containers: []Container{foreign("web")}}, undecided: []string{"The container web is not ours: it lacks the label alorig.fleet.stack=test."}},
		{name: "another stack's", found: Found{Containers: []Container{{Name: "web", ID: "i", Status: "running", Label: "prod"}}}, undecided: []string{"its label alorig.fleet.stack is prod, not test."}},
		{name: "somebody else's, and an orphan", found: Found{Containers: []Container{foreign("web"), box("worker", "created")}}, steps: []string{"remove-container worker"}, undecided: []string{"The container web is not ours"}},
		{name: "somebody else's next version", found: Found{Containers: []Container{known("web", "running/healthy"), foreign("web_next")}}, undecided: []string{"web_next is not ours"}},
		{name: "somebody else's, for an app to come", found: Found{Containers: []Container{foreign("later_web")}}},
		{name: "without the label, but in the state", found: Found{Containers: []Container{{Name: "web", ID: "i", Status: "running", InState: true}}}},
		{name: "our label and no name of ours", found: Found{Containers: []Container{box("stranger", "running")}}, notes: []string{"stranger (running) carries our label"}},

		{
			name:  "killed before the handover renames",
			found: Found{Containers: []Container{known("web", "running/healthy"), box("web_next", "running/healthy")}},
			steps: []string{"remove-container web_next"},
		},
		{
			name:  "killed after the handover has renamed",
			found: Found{Containers: []Container{known("web_previous", "running/healthy"), box("web_next", "running/healthy")}},
			steps: []string{"rename-container web_previous web", "remove-container web_next"},
		},
		{
			name:  "renamed, and not yet healthy",
			found: Found{Containers: []Container{known("web_previous", "running/starting"), box("web_next", "running/healthy")}},
			notes: []string{"web_next (healthy) serves in place of web. It stays; the next update removes it.", "web_previous (starting) stays aside, since it is not ready and web_next is. The next update replaces it."},
		},
		{
			name:  "renamed, and sick",
			found: Found{Containers: []Container{known("web_previous", "running/unhealthy"), box("web_next", "running/healthy")}},
			notes: []string{"web_next (healthy) serves in place of web. It stays; the next update removes it.", "web_previous (unhealthy) stays aside, since it is not ready and web_next is. The next update replaces it."},
		},
		{
			name:  "killed while the old one was stopping",
			found: Found{Containers: []Container{known("web_previous", "exited"), box("web_next", "running/healthy")}},
			notes: []string{"web_next (healthy) serves in place of web. It stays; the next update removes it.", "web_previous (exited) stays aside, since it is not ready and web_next is. The next update replaces it."},
		},
		{
			name:  "killed when the old one had gone",
			found: Found{Containers: []Container{box("web_next", "running/healthy")}},
			notes: []string{"web_next (healthy) serves in place of web"},
		},
		{
			name:  "killed while the new one was being created",
			found: Found{Containers: []Container{box("web", "running/starting"), box("web_next", "running/healthy")}},
			steps: []string{"remove-container web"},
			notes: []string{"web_next (healthy) serves in place of web"},
		},
		{
			name:  "killed while the new one was being created beside the old",
			found: Found{Containers: []Container{box("web", "created"), known("web_previous", "running/healthy"), box("web_next", "running/healthy")}},
			steps: []string{"remove-container web", "rename-container web_previous web", "remove-container web_next"},
		},
		{
			name:  "killed when all was done but the end",
			found: Found{Containers: []Container{known("web", "running/healthy"), box("web_previous", "running/healthy"), box("web_next", "running/healthy")}},
			steps: []string{"remove-container web_previous", "remove-container web_next"},
		},
		{
			name:  "the new one is still starting",
			found: Found{Containers: []Container{known("web", "running/starting"), box("web_next", "running/healthy")}},
			steps: []string{"remove-container web_next once id-web"},
		},
		{
			name:  "the new one does not become healthy",
			found: Found{Containers: []Container{known("web", "running/unhealthy"), box("web_next", "running/healthy")}},
			notes: []string{"web_next (healthy) serves in place of web"},
		},
		{
			name:  "the next version that has failed is kept",
			found: Found{Containers: []Container{known("web", "running/healthy"), box("web_next", "exited")}},
			notes: []string{"web_next (exited) stands beside web. It stays, for you to look at"},
		},
		{
			name:  "the next version that is slow, beside nobody",
			found: Found{Containers: []Container{known("web", "exited"), box("web_next", "running/unhealthy")}},
			notes: []string{"The container web (exited) does not run", "web_next (unhealthy) serves in place of web"},
		},
		{
			name:  "the next version that was never started",
			found: Found{Containers: []Container{known("web", "running/healthy"), box("web_next", "created")}},
			steps: []string{"remove-container web_next"},
		},
		{
			name:  "the old one, which the next update deletes",
			found: Found{Containers: []Container{known("web", "running/healthy"), known("web_previous", "running/healthy")}},
		},
		{
			name:      "the name is somebody else's, so nothing gets it back",
			found:     Found{Containers: []Container{foreign("web"), known("web_previous", "running/healthy"), box("web_next", "running/healthy")}},
			undecided: []string{"The container web is not ours"},
		},

		{name: "a migration that runs", found: Found{Containers: []Container{box("app_migrate", "running")}}, steps: []string{"await-container app_migrate", "remove-container app_migrate"}},
		{name: "a migration that has ended", found: Found{Containers: []Container{box("app_migrate", "exited")}}, steps: []string{"remove-container app_migrate"}},
		{name: "a migration that has failed is kept", found: Found{Containers: []Container{{Name: "app_migrate", ID: "m", Status: "exited", ExitCode: 1, Ours: true}}}, notes: []string{"ended with exit code 1. It stays"}},
		{name: "somebody else's migration", found: Found{Containers: []Container{foreign("app_migrate")}}, undecided: []string{"app_migrate is not ours"}},

		{
			name:  "orphaned service, its data in its volume; migrations end first",
			found: Found{Containers: []Container{box("app_migrate", "running"), {Name: "db", ID: "d", Status: "running", Ours: true, Volumes: []string{"db_data"}}}},
			steps: []string{"await-container app_migrate", "remove-container app_migrate", "remove-container db"},
		},
		{name: "orphaned service that has never run", found: Found{Containers: []Container{box("db", "created")}}, steps: []string{"remove-container db"}},
		{
			name:      "orphaned service with its data elsewhere",
			found:     Found{Containers: []Container{{Name: "db", ID: "d", Status: "exited", Ours: true, Volumes: []string{"0123"}}}},
			undecided: []string{"does not keep its data in the volume db_data (it has 0123)"},
		},

		{name: "orphaned network", found: Found{Networks: []Network{{Name: "net", ID: "n", Ours: true}}}, steps: []string{"remove-network net"}},
		{
			name: "orphaned network, used by what goes",
			found: Found{
				Containers: []Container{box("web", "running/healthy")},
				Networks:   []Network{{Name: "net", ID: "n", Ours: true, Containers: []string{"web"}}},
			},
			steps: []string{"remove-container web", "remove-network net"},
		},
		{
			name: "orphaned network, used by what stays",
			found: Found{
				Containers: []Container{box("web_next", "running/healthy")},
				Networks:   []Network{{Name: "net", ID: "n", Ours: true, Containers: []string{"guest", "web_next"}}},
			},
			notes: []string{"serves"}, undecided: []string{"in use by guest, web_next"},
		},
		{name: "somebody else's network", found: Found{Networks: []Network{{Name: "net", ID: "n"}}}, undecided: []string{"The network net (n) is not ours"}},

		{
			name: "pending operations",
			found: Found{Root: urn + "root", Operations: []Operation{
				{Kind: creating, Type: typeRole, Name: "app-role", URN: urn + "role", Exists: "app"},
				{Kind: creating, Type: "docker:index/container:Container", Name: "app-web", URN: urn + "web"},
				{Kind: "deleting", Type: "docker:index/container:Container", Name: "app-beat", URN: urn + "beat", InState: true},
			}},
			steps: []string{"adopt app-role", "settle test " + urn + "beat " + urn + "role"},
		},
		{
			name:  "only creates to forget: the stack itself is read, which asks no provider",
			found: Found{Root: urn + "root", Operations: []Operation{{Kind: creating, Type: "command:local:Command", Name: "a", URN: urn + "a"}}},
			steps: []string{"settle test " + urn + "root"},
		},
		{
			name:  "a create in an empty state",
			found: Found{Operations: []Operation{{Kind: creating, Type: "command:local:Command", Name: "a", URN: urn + "a"}}},
			steps: []string{"settle test"},
		},
		{
			name:      "a record that is somebody else's",
			found:     Found{Root: urn + "root", Operations: []Operation{{Kind: creating, Type: typeRecord, Name: "dns", URN: urn + "dns", Taken: "the A record of x to y"}}},
			undecided: []string{"Record dns cannot be created: there is the A record of x to y."}, steps: []string{"settle test " + urn + "root"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.found.Stack, tt.found.Declared = "test", testDeclared()
			tt.found.Backend = "file:///state"
			plan := MakePlan(tt.found)
			var steps []string
			for _, s := range plan.Steps {
				text := string(s.Do) + " " + s.Name
				if s.To != "" {
					text += " " + s.To
				}
				if s.Once != "" {
					text += " once " + s.Once
				}
				if s.Do == Settle && len(s.URNs) > 0 {
					text += " " + strings.Join(s.URNs, " ")
				}
				steps = append(steps, text)
				if s.Text == "" || !strings.HasSuffix(s.Text, ".") {
					t.Errorf("%s says %q", text, s.Text)
				}
			}
			if !slices.Equal(steps, tt.steps) {
				t.Errorf("plans %q, want %q", steps, tt.steps)
			}
			for what, list := range map[string][2][]string{"leaves undecided": {plan.Undecided, tt.undecided}, "notes": {plan.Notes, tt.notes}} {
				if len(list[0]) != len(list[1]) {
					t.Errorf("%s %q, want %q", what, list[0], list[1])
					continue
				}
				for i, want := range list[1] {
					if !strings.Contains(list[0][i], want) {
						t.Errorf("%s %q, want %q in it", what, list[0][i], want)
					}
				}
			}
			if plan.Clear() != (len(tt.steps)+len(tt.undecided) == 0) {
				t.Errorf("Clear says %t", plan.Clear())
			}
		})
	}
}

func TestRecoverJudgesRecords(t *testing.T) {
	for _, tt := range []struct {
		name                  string
		records               []record
		exists, taken, beside string
	}{
		{"none", nil, "", "", ""},
		{"ours", []record{{ID: "r", Type: "A", Name: "x", Content: "1.2.3.4", Comment: "ours"}}, "r", "", ""},
		{"the same, somebody else's", []record{{ID: "r", Type: "A", Name: "x", Content: "1.2.3.4"}}, "", "which is not ours", ""},
		{"another address", []record{{ID: "r", Type: "A", Name: "x", Content: "4.3.2.1", Comment: "ours"}}, "", "", "visitors are given both"},
		{"an alias", []record{{ID: "r", Type: "CNAME", Name: "x", Content: "y"}}, "", "CNAME record of x to y", ""},
		{"of no consequence", []record{{ID: "r", Type: "TXT", Name: "x", Content: "y"}}, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Operation{Kind: creating, Type: typeRecord, inputs: map[string]any{"zoneId": "zone", "type": "A", "content": "1.2.3.4", "comment": "ours"}}
			o.judgeRecords(tt.records)
			if o.Exists != tt.exists || !strings.Contains(o.Taken, tt.taken) || (tt.taken == "") != (o.Taken == "") ||
				!strings.Contains(o.Beside, tt.beside) || (tt.beside == "") != (o.Beside == "") {
				t.Errorf("judged as %+v", o)
			}
		})
	}
}
