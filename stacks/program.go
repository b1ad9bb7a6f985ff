// Package stacks declares the server: one file per app says what runs in it, and this file
// wires it to the ledger and the settings.
package stacks

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-cloudflare/sdk/v5/go/cloudflare"
	"github.com/pulumi/pulumi-command/sdk/go/command/remote"
	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi-postgresql/sdk/v3/go/postgresql"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/components"
	"github.com/alorig/fleet/internal/delivery"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/internal/workload"
)

// defined collects what the files of this package define.
var defined = workload.Apps{}

func define(app string, specs ...workload.Spec) { defined[app] = specs }

// Defined returns what runs in the apps of this package.
func Defined() workload.Apps { return maps.Clone(defined) }

// Fleet is what a program declares: the ledger and what runs in its apps.
type Fleet struct {
	Ledger    ledger.Ledger
	Workloads workload.Apps
}

// Alorig is the real fleet.
func Alorig() Fleet { return Fleet{ledger.Alorig(), Defined()} }

// Program is the Pulumi program of every stack. Before an update it judges itself by the
// rules of the policy pack. With a self-managed backend, the Pulumi engine runs the pack
// only when it is told to, and a bare `pulumi up` must be guarded too.
func Program(ctx *pulumi.Context) error { return Alorig().program(ctx) }

func (f Fleet) program(ctx *pulumi.Context) error { return f.update(ctx, f.readBack) }

// update is the program with a way to see, before an update, that the server is as it should
// be: tests have no server.
func (f Fleet) update(ctx *pulumi.Context, readBack func(*pulumi.Context, settings.Settings, delivery.Program) error) error {
	s, err := f.Settings(settings.FromContext(ctx), "")
	if err != nil {
		return err
	}
	if !ctx.DryRun() {
		if err := f.guard(ctx.Stack(), s); err != nil {
			return err
		}
	}
	program, err := f.serverProgram(ctx, s)
	if err != nil {
		return err
	}
	if !ctx.DryRun() {
		if err := readBack(ctx, s, program); err != nil {
			return err
		}
	}
	return f.Declare(ctx, s, program)
}

// serverProgram builds the program that an update puts on the server.
func (f Fleet) serverProgram(ctx *pulumi.Context, s settings.Settings) (delivery.Program, error) {
	var said strings.Builder
	program, err := delivery.Build(ctx.Context(), "", s.Program.Architecture, &said)
	if text := strings.TrimSpace(said.String()); text != "" {
		_ = ctx.Log.Info(text, nil) // without it nothing is lost
	}
	return program, err
}

// Settings judges a configuration. With reach, the name of an app, the rollout is taken to
// have come to it. What is missing or malformed is a [*settings.Error].
func (f Fleet) Settings(config settings.Config, reach string) (settings.Settings, error) {
	return settings.Parse(config, settings.Needs{Ledger: f.Ledger, Workloads: f.Workloads, Reach: reach})
}

// OfflinePreview is the program of `alorig preview`: secrets may be placeholders. It
// refuses to be anything but a preview.
func (f Fleet) OfflinePreview(s settings.Settings) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		if !ctx.DryRun() {
			return errors.New("the offline program holds placeholder secrets and only previews; update with `pulumi up`")
		}
		return f.Declare(ctx, s, delivery.Program{})
	}
}

// Declare registers everything that belongs on the server. Without a program for the server
// it can only be previewed.
func (f Fleet) Declare(ctx *pulumi.Context, s settings.Settings, built delivery.Program) error {
	stage, ok := f.Ledger.Through(s.Rollout)
	if !ok {
		return fmt.Errorf("rollout %q is no app of the ledger", s.Rollout)
	}
	if err := f.complete(stage); err != nil {
		return err
	}
	providers, err := providers(ctx, s)
	if err != nil {
		return err
	}
	server, err := components.NewServer(ctx, "server", &components.ServerArgs{
		Ledger: f.Ledger, Rollout: s.Rollout, Address: s.Address, Zones: s.Zones,
	}, pulumi.ProviderMap(providers))
	if err != nil {
		return err
	}
	within := pulumi.Parent(server)

	program, err := components.NewServerProgram(ctx, "server-program", &components.ServerProgramArgs{
		Path: built.Path, SHA256: built.SHA256, Architecture: s.Program.Architecture, Directory: s.Program.Directory, Shell: shellOf(s),
	}, within)
	if err != nil {
		return err
	}
	platform, err := components.NewPlatform(ctx, "platform", &components.PlatformArgs{
		Mode: s.Platform, Ledger: f.Ledger, Program: program, CaddyDirectory: s.CaddyDirectory,
		RedisPassword: s.RedisPassword.Output(), PostgresPassword: s.Postgres.Password.Output(),
		PostgresUser: s.Postgres.User, Subnet: s.Subnet, Images: s.Images, TLS: s.TLS,
		CloudflareToken: s.CloudflareToken.Output(), ACMEEmail: s.ACMEEmail,
	}, within)
	if err != nil {
		return err
	}

	var gate *components.Gate // of the app before
	for _, entry := range stage.Apps {
		secrets := map[string]pulumi.StringOutput{}
		for key, value := range s.Secrets[entry.Name] {
			secrets[key] = value.Output()
		}
		logins := map[string]string{}
		for _, db := range entry.Databases {
			password := s.Secrets[entry.Name][workload.DatabasePasswordKey(entry, db)]
			logins[db.Role] = ledger.LoginRole(db.Role, password.Reveal())
		}
		app, err := components.NewApp(ctx, entry.Name, &components.AppArgs{
			App: entry, Workloads: f.Workloads[entry.Name], Images: s.Images, Secrets: secrets, Logins: logins, Platform: platform,
			Address: s.Address, Zones: s.Zones, TLS: s.TLS, AdminCIDRs: s.AdminCIDRs, WaitFor: gate,
		}, within)
		if err != nil {
			return err
		}
		gate = app.Gate
	}
	ctx.Export("rollout", pulumi.String(s.Rollout))
	ctx.Export("hosts", pulumi.ToStringArray(hostNames(stage)))
	return nil
}

// complete reports apps of the stage in which nothing is said to run, and what is said to
// run in no app of the ledger.
func (f Fleet) complete(stage ledger.Ledger) error {
	var problems []error
	for _, app := range stage.Apps {
		if _, ok := f.Workloads[app.Name]; !ok {
			problems = append(problems, fmt.Errorf("the ledger has the app %q, and no stacks/%[1]s.go defines what runs in it", app.Name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Workloads)) {
		if _, ok := f.Ledger.App(name); !ok {
			problems = append(problems, fmt.Errorf("stacks defines what runs in %q, which is no app of the ledger; accepted: %s; correct its define(…), or add it to Apps in internal/ledger/alorig.go",
				name, strings.Join(f.Ledger.AppNames(), ", ")))
		}
	}
	return errors.Join(problems...)
}

func hostNames(l ledger.Ledger) []string {
	var names []string
	for _, a := range l.Apps {
		for _, h := range a.Hosts {
			names = append(names, h.Name)
		}
	}
	slices.Sort(names)
	return names
}

// providers are explicit, so that no default from the environment of whoever runs the
// program decides which server or account is changed.
func providers(ctx *pulumi.Context, s settings.Settings) (map[string]pulumi.ProviderResource, error) {
	dockerArgs := &docker.ProviderArgs{Host: pulumi.String(s.DockerHost())}
	if s.SSH != nil {
		dockerArgs.SshOpts = pulumi.ToStringArray([]string{"-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"})
	}
	if s.Registry != nil {
		dockerArgs.RegistryAuth = docker.ProviderRegistryAuthArray{docker.ProviderRegistryAuthArgs{
			Address: pulumi.String(s.Registry.Address), Username: pulumi.String(s.Registry.Username), Password: s.Registry.Password.Output(),
		}}
	}
	d, err := docker.NewProvider(ctx, "docker", dockerArgs)
	if err != nil {
		return nil, fmt.Errorf("configuring Docker: %w", err)
	}
	p, err := postgresql.NewProvider(ctx, "postgresql", &postgresql.ProviderArgs{
		Host: pulumi.String(s.Postgres.Host), Port: pulumi.Int(s.Postgres.Port),
		Username: pulumi.String(s.Postgres.User), Password: s.Postgres.Password.Output(),
		// The connection ends on the server itself, or travels inside SSH. The provider's pool
		// keeps its own size: with two connections, six roles at once waited for each other
		// for ever.
		Sslmode: pulumi.String("disable"), ConnectTimeout: pulumi.Int(15),
	})
	if err != nil {
		return nil, fmt.Errorf("configuring PostgreSQL: %w", err)
	}
	cloudflareArgs := &cloudflare.ProviderArgs{ApiToken: s.CloudflareToken.Output()}
	if s.CloudflareHost != "" {
		cloudflareArgs.ApiHostname = pulumi.String(s.CloudflareHost)
	}
	c, err := cloudflare.NewProvider(ctx, "cloudflare", cloudflareArgs)
	if err != nil {
		return nil, fmt.Errorf("configuring Cloudflare: %w", err)
	}
	return map[string]pulumi.ProviderResource{"docker": d, "postgresql": p, "cloudflare": c}, nil
}

// shellOf is how commands reach the server.
func shellOf(s settings.Settings) components.Shell {
	if s.SSH == nil {
		return components.Shell{DockerHost: s.DockerSocket}
	}
	return components.Shell{Connection: &remote.ConnectionArgs{
		Host: pulumi.String(s.Address), Port: pulumi.Float64(s.SSH.Port), User: pulumi.String(s.SSH.User),
		HostKey: pulumi.String(s.SSH.HostKey), PrivateKey: s.SSH.PrivateKey.Output(),
	}}
}
