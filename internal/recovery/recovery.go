// Package recovery clears what a killed update leaves behind: a lock, pending operations,
// containers that Docker has and the state does not, half a handover. Looking changes
// nothing. A pure function plans the steps. Each step can be interrupted and taken again.
//
// A thing is removed only when it carries the label of this stack, has a name of ours and is
// not in the state. Volumes are never removed. The lock of a living update is never deleted.
package recovery

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/alorig/fleet/internal/access"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/pulumicli"
	"github.com/alorig/fleet/internal/settings"
)

// Options say which stack is mended, and how.
type Options struct {
	Directory string            // where Pulumi.yaml is
	Stack     string            // its name alone
	Named     string            // the same with its organization, where it was named: what the CLI is asked for
	Settings  settings.Settings // of the stack; secrets may be placeholders
	Ledger    ledger.Ledger
	// HolderIsGone is the operator's word that the holder of a lock has ended, for a lock
	// that this command cannot judge.
	HolderIsGone bool
	Progress     io.Writer // gets what takes long, and what the Pulumi CLI says
}

// Recovery knows the stack's backend and its server.
type Recovery struct {
	options Options
	cli     cli
	backend *backend
	server  *access.Server
	engine  *engine // of the server
	judge   func(Lock) (Verdict, string)
}

// Open reaches the stack's backend and its Docker engine.
func Open(ctx context.Context, o Options) (*Recovery, error) {
	command, err := pulumicli.Find(ctx, o.Directory, o.Progress)
	if err != nil {
		return nil, err
	}
	stack := pulumicli.Stack{CLI: command, Directory: o.Directory, Name: o.Named}
	r := &Recovery{options: o, cli: cli{stack, o.Progress}, judge: judge}
	address, err := stack.Backend(ctx)
	if err != nil {
		return nil, err
	}
	if r.backend, err = openBackend(ctx, address, o); err != nil {
		return nil, err
	}
	privateKey := ""
	if o.Settings.SSH != nil {
		if privateKey, err = stack.Secret(ctx, settings.Project+":sshPrivateKey"); err != nil {
			return nil, err
		}
	}
	if r.server, err = access.Open(ctx, access.Of(o.Settings, privateKey)); err != nil {
		return nil, err
	}
	r.engine = &engine{r.server.Docker()}
	return r, nil
}

// Close closes the connections to the backend and the server.
func (r *Recovery) Close() {
	if r.backend.holdsLocks() {
		_ = r.backend.bucket.Close() // everything has been read
	}
	_ = r.server.Close()
}

// Found is what a killed update left behind, and what else is there under its names.
type Found struct {
	Stack      string      `json:"stack"`
	Backend    string      `json:"backend"`      // without credentials
	NoLocks    bool        `json:"noLockFiles"`  // the backend has no lock files to look at
	Locks      []Lock      `json:"locks"`        // of this stack
	Operations []Operation `json:"operations"`   // pending
	Containers []Container `json:"containers"`   // with our label or a name of ours
	Missing    []Missing   `json:"missing"`      // containers that the state has and the server has not
	Networks   []Network   `json:"networks"`     // with the name of ours
	Declared   Declared    `json:"-"`            // what the settings ask for
	Root       string      `json:"-"`            // URN of the stack itself, "" in an empty state
	Trusted    bool        `json:"holderIsGone"` // Options.HolderIsGone
	LookedAt   time.Time   `json:"lookedAt"`     // by this machine's clock
}

// Look looks at everything and changes nothing. With an error, Found holds what was found
// before it.
func (r *Recovery) Look(ctx context.Context) (Found, error) {
	f := Found{
		Stack: r.options.Stack, Backend: r.backend.shown, NoLocks: !r.backend.holdsLocks(),
		Declared: declaredBy(r.options.Ledger, r.options.Settings), Trusted: r.options.HolderIsGone, LookedAt: time.Now().UTC().Truncate(time.Second),
	}
	var err error
	if f.Locks, err = r.locks(ctx); err != nil {
		return f, err
	}
	exported, err := r.cli.Export(ctx)
	if err != nil {
		return f, err
	}
	state := state{exported}
	f.Root = state.root()
	f.Operations = state.operations()
	if f.Containers, f.Networks, err = r.engine.look(ctx, r.options.Stack, f.Declared, state.ids()); err != nil {
		return f, err
	}
	f.Missing = state.missing(f.Containers, f.Operations)
	if err := r.lookOutside(ctx, f.Operations); err != nil {
		return f, err
	}
	return f, nil
}

// lookOutside asks PostgreSQL and Cloudflare whether what was being created exists.
func (r *Recovery) lookOutside(ctx context.Context, operations []Operation) error {
	if err := r.lookInPostgres(ctx, operations); err != nil {
		return fmt.Errorf("%w\nWithout an answer it is not known whether what was being created exists", err)
	}
	if err := r.lookAtCloudflare(ctx, operations); err != nil {
		return fmt.Errorf("%w\nWithout an answer it is not known whether what was being created exists", err)
	}
	return nil
}
