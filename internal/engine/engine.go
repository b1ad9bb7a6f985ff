// Package engine previews a program on the Pulumi engine, which is a library of this
// binary: no CLI, account, credential, plugin or network. A stand-in answers for every
// provider, and the server is taken to be empty.
package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/engine"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/resource/plugin"
	"github.com/pulumi/pulumi/pkg/v3/util/cancel"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"
)

// Preview is one preview to run.
type Preview struct {
	Project string // its name
	Stack   string // its name; nothing of it is read here, and its configuration is empty
	Program pulumi.RunFunc
	Pack    policyx.PolicyPack // judges the program; nil for no rules

	// Terminal is shown every resource and every finding as it comes, as the Pulumi CLI
	// shows them; nil for nobody. It is one, since what was said is overwritten.
	Terminal io.Writer
	Color    bool
}

// Result is what the Pulumi engine and the rules said.
type Result struct {
	Changes  map[string]int // resources by operation, the stack itself among them
	Findings []Finding      // sorted, once each
	Warnings []string       // of the program or the Pulumi engine
	Errors   []string       // of either, beside a verdict; after one the findings need not be all
}

// Finding is what a rule of the pack said.
type Finding struct {
	Rule    string
	Level   string // "mandatory" or "advisory"
	Message string
	URN     string // "" when it is about no single resource
}

// Refused reports whether a mandatory rule refuses the fleet.
func (r Result) Refused() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Level == string(apitype.Mandatory) })
}

// Run previews. A refusal is a result, not an error; an error means that there is no
// verdict. What the program or the Pulumi engine complained of is the error's text.
//
// It ends soon after ctx does, even where the program does not look at its own context.
// Previews in one process run one after another (see [withoutSettingsOfTheCaller]).
func (p Preview) Run(ctx context.Context) (Result, error) {
	var seen collector
	var failure error
	if err := withoutSettingsOfTheCaller(func() { failure = p.update(ctx, &seen) }); err != nil {
		return Result{}, err
	}
	if ctx.Err() != nil {
		return Result{}, fmt.Errorf("the preview was interrupted: %w", context.Cause(ctx))
	}
	result := seen.result()
	switch {
	case failure == nil, result.Refused(): // a refusal also fails the update, which says little
		result.Errors = slices.DeleteFunc(seen.errors, func(said string) bool { return said == refusedSays })
		return result, nil
	case len(seen.errors) > 0:
		return result, errors.New(strings.Join(seen.errors, "\n"))
	default:
		return result, fmt.Errorf("the Pulumi engine gave no verdict: %w", failure)
	}
}

// refusedSays is all that the Pulumi engine says of a refusal beside the findings.
const refusedSays = "preview failed"

// update runs the Pulumi engine and lets seen gather what it says.
func (p Preview) update(ctx context.Context, seen *collector) error {
	stack, err := p.target()
	if err != nil {
		return err
	}
	room, err := os.MkdirTemp("", "alorig-preview-")
	if err != nil {
		return fmt.Errorf("making room for the preview: %w", err)
	}
	defer os.RemoveAll(room) //nolint:errcheck // empty
	server, err := serve(p)
	if err != nil {
		return err
	}
	defer server.close()

	events := make(chan engine.Event)
	shown := p.show(stack.Name, events, seen)
	cancelling, source := cancel.NewContext(context.WithoutCancel(ctx))
	defer source.Terminate()
	ended := make(chan error, 1)
	go func() {
		defer func() {
			if fault := recover(); fault != nil {
				ended <- fmt.Errorf("it panicked: %v", fault)
			}
		}()
		_, _, err := engine.Update(
			engine.UpdateInfo{Root: room, Project: p.project(server.address()), Target: stack},
			&engine.Context{Cancel: cancelling, Events: events},
			engine.UpdateOptions{
				Parallel:             parallel,
				LocalPolicyPacks:     p.packs(),
				SkipPluginPreInstall: true,
				HostFactory: func(_ context.Context, said, status diag.Sink, _ plugin.DebugContext) (plugin.Host, error) {
					server.listen(said, status)
					return &host{server: server, pack: p.Pack}, nil
				},
			}, true)
		ended <- err
	}()
	select {
	case err = <-ended:
		<-shown
		return err
	case <-ctx.Done():
		source.Cancel()
	}
	// A program that does not look at its context never returns; nobody waits for it.
	select {
	case err = <-ended:
		<-shown
		return err
	case <-time.After(cancelGrace):
		return context.Cause(ctx)
	}
}

const (
	// parallel is how many resources the Pulumi engine handles at once, as its CLI does.
	parallel = 16
	// cancelGrace is how long an interrupted preview may take to end by itself.
	cancelGrace = time.Second
)

// target is a stack without a state.
func (p Preview) target() (*deploy.Target, error) {
	name, err := tokens.ParseStackName(p.Stack)
	if err != nil {
		return nil, fmt.Errorf("stack %q: %w", p.Stack, err)
	}
	return &deploy.Target{Name: name, Organization: "organization", Decrypter: config.NewPanicCrypter()}, nil
}

// project is one whose program the Pulumi engine asks for at the address: this process.
func (p Preview) project(address string) *workspace.Project {
	return &workspace.Project{
		Name:    tokens.PackageName(p.Project),
		Runtime: workspace.NewProjectRuntimeInfo("client", map[string]any{"address": address}),
	}
}

// packs names the pack. Its path stands in messages only; nothing is read there.
func (p Preview) packs() []engine.LocalPolicyPack {
	if p.Pack == nil {
		return nil
	}
	return []engine.LocalPolicyPack{{Name: p.Pack.Name(), Path: "policy"}}
}

// collector gathers the Pulumi engine's events.
type collector struct {
	gathered Result
	errors   []string // of the program or the Pulumi engine
}

func (c *collector) add(event engine.Event) {
	switch e := event.Payload().(type) {
	case engine.PolicyViolationEventPayload:
		c.gathered.Findings = append(c.gathered.Findings, Finding{
			Rule: e.PolicyName, Level: string(e.EnforcementLevel), Message: plain(e.Message), URN: string(e.ResourceURN),
		})
	case engine.SummaryEventPayload:
		c.gathered.Changes = map[string]int{}
		for operation, n := range e.ResourceChanges {
			c.gathered.Changes[string(operation)] = n
		}
	case engine.DiagEventPayload:
		message := plain(e.Message)
		switch {
		case message == "" || e.Ephemeral:
		case e.Severity == diag.Error:
			c.errors = append(c.errors, message)
		case e.Severity == diag.Warning:
			c.gathered.Warnings = append(c.gathered.Warnings, message)
		}
	}
}

// result returns what was gathered: findings sorted and once each.
func (c *collector) result() Result {
	r := c.gathered
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.URN, b.URN), cmp.Compare(a.Message, b.Message))
	})
	r.Findings = slices.Compact(r.Findings)
	return r
}

// plain takes the Pulumi engine's colour marks out of a message.
func plain(message string) string { return strings.TrimSpace(colors.Never.Colorize(message)) }
