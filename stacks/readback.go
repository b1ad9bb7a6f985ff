package stacks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/access"
	"github.com/alorig/fleet/internal/delivery"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/readback"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/internal/workload"
)

// readBack sees, before an update changes anything, that the server is as the state says. An
// update changes only what differs from the state: without this it would call unchanged what
// somebody has stopped or removed. It starts what is only stopped, puts lost site files and Redis
// users there again, and refuses the rest with what mends it. A destroy runs no program, so
// nothing is read back then.
func (f Fleet) readBack(ctx *pulumi.Context, s settings.Settings, built delivery.Program) error {
	state, err := stateOf(ctx)
	if err != nil {
		return err
	}
	expected := f.Expected(s, state)
	if expected.Nothing() {
		return nil
	}
	privateKey := ""
	if s.SSH != nil {
		privateKey = s.SSH.PrivateKey.Reveal()
	}
	way, err := access.Open(ctx.Context(), access.Of(s, privateKey))
	if err != nil {
		return err
	}
	defer way.Close() //nolint:errcheck // everything has been read
	server, put, err := readback.Reach(ctx.Context(), way, built, s.Program.Directory)
	if err != nil {
		return err
	}
	if put {
		_ = ctx.Log.Info("The server's program was put in its place.", nil) // a message
	}
	facts, err := server.State(ctx.Context(), f.StateQuestion(ctx.Stack(), s))
	if err != nil {
		return err
	}
	difference := readback.Compare(expected, facts)
	if len(difference.Missing) > 0 {
		removed, err := removedContainers(ctx)
		if err != nil {
			return err
		}
		difference.Expect(removed)
	}
	if err := difference.Refusal(); err != nil {
		return err
	}
	if err := f.startStopped(ctx, server, difference.Stopped); err != nil {
		return err
	}
	for _, lost := range difference.Lost {
		if err := server.Put(ctx.Context(), lost); err != nil {
			return err
		}
		_ = ctx.Log.Warn("Put in its place again, since it was missing: "+lost.Name+".", nil) // a message
	}
	return nil
}

// Expected is what a state says is on the server, and what every update needs there.
func (f Fleet) Expected(s settings.Settings, state map[string]readback.Resource) readback.Expected {
	expected := readback.Of(state)
	if s.Platform == workload.Existing {
		for _, kind := range []ledger.Kind{ledger.Postgres, ledger.Redis, ledger.Caddy} {
			service, _ := f.Ledger.Service(kind)
			expected.Services = append(expected.Services, service.Container)
		}
	}
	return expected
}

// StateQuestion asks for what an update needs to know of the server of a stack.
func (f Fleet) StateQuestion(stack string, s settings.Settings) document.State {
	redis, _ := f.Ledger.Service(ledger.Redis)
	question := document.State{
		Header: document.NewHeader("", "server"), Stack: stack, Sites: ledger.SitesDirectory(s.CaddyDirectory),
		Redis: redis.Container, Network: f.Ledger.Server.Network, Port: redis.Port, AdminPassword: s.RedisPassword.Reveal(),
	}
	for _, service := range f.Ledger.Services {
		question.Containers = append(question.Containers, service.Container)
	}
	return question
}

// startStopped starts what is there and does not run. It waits for the shared services alone:
// an app's version that cannot run must not stand in the way of the one that mends it.
func (f Fleet) startStopped(ctx *pulumi.Context, server *readback.Server, stopped []string) error {
	if len(stopped) == 0 {
		return nil
	}
	start := document.Started{Header: document.NewHeader("", "server"), Containers: stopped, Patience: int(workload.Patience.Seconds())}
	for _, service := range f.Ledger.Services {
		if slices.Contains(stopped, service.Container) {
			start.Await = append(start.Await, service.Container)
		}
	}
	if _, err := server.Start(ctx.Context(), start); err != nil {
		return fmt.Errorf("what does not run could not be started, and nothing was changed: %w", err)
	}
	_ = ctx.Log.Warn("Started, since it did not run: "+strings.Join(stopped, ", ")+".", nil) // a message
	return nil
}
