// Package workload says, as data, what runs in the containers of the server: the
// process, its command, its health check, its variables, and the secrets it needs. The
// ledger says what a container may use; this package says what it does with it. It
// imports no Pulumi package, so settings, components and the policy pack can all read it.
package workload

import (
	"errors"
	"fmt"

	"github.com/alorig/fleet/internal/ledger"
)

// Spec says what runs in one container of an app.
type Spec struct {
	Role        ledger.Role
	Process     Process
	Environment map[string]string // variables beyond the contract; not secret
	Secrets     []string          // names of the app's secrets that it gets, as variables
}

// Apps says what runs in each app, by the app's name.
type Apps map[string][]Spec

// Migration is the command that migrates an app's database. The image of every backend
// must understand it (docs/contract.md).
var Migration = []string{"python", "manage.py", "migrate", "--noinput"}

// Place is where a process runs: a container of an app.
type Place struct {
	App       ledger.App
	Container ledger.Container
}

// Check compares what runs in an app with what the ledger books for it. The error names
// every difference.
func Check(app ledger.App, specs []Spec) error {
	var problems []error
	report := func(format string, arguments ...any) {
		problems = append(problems, fmt.Errorf(format, arguments...))
	}
	running := map[ledger.Role]bool{}
	for _, s := range specs {
		name := ledger.ContainerName(app.Name, s.Role)
		c, booked := app.Container(s.Role)
		if !booked {
			report("stacks/%s.go runs %s, which the ledger does not book; book it in internal/ledger/alorig.go or drop it", app.Name, name)
			continue
		}
		if running[s.Role] {
			report("stacks/%s.go runs %s twice; a role has one container", app.Name, name)
			continue
		}
		running[s.Role] = true
		if s.Process == nil {
			report("stacks/%s.go gives %s no Process; set one of internal/workload/process.go, such as workload.Gunicorn", app.Name, name)
			continue
		}
		if need := s.Process.At(Place{app, c}).Connections; need > c.Connections {
			report("%s holds up to %d PostgreSQL connections, the ledger gives it %d; run fewer processes or threads in stacks/%s.go, or raise Connections in internal/ledger",
				name, need, c.Connections, app.Name)
		}
	}
	for _, c := range app.Containers {
		name := ledger.ContainerName(app.Name, c.Role)
		if _, booked := app.Database(c.Database); !booked {
			report("the ledger gives %s the database %q, which %s does not have; correct Database in internal/ledger", name, c.Database, app.Name)
		}
		if !running[c.Role] {
			report("the ledger books %s, and stacks/%s.go runs nothing in it; add it there, or drop the container from internal/ledger/alorig.go", name, app.Name)
		}
	}
	return errors.Join(problems...)
}
