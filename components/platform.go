package components

import (
	"fmt"
	"net/netip"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi-postgresql/sdk/v3/go/postgresql"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/caddysite"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// PlatformArgs declares the shared services.
type PlatformArgs struct {
	Mode             workload.PlatformMode
	Ledger           ledger.Ledger
	Program          *ServerProgram
	CaddyDirectory   string              // on the server; mounted in Caddy at /etc/caddy
	RedisPassword    pulumi.StringOutput // of Redis' default user; a secret
	PostgresPassword pulumi.StringOutput // of the superuser; a secret

	// Only for Managed.
	Subnet          netip.Prefix        // of the network
	Images          map[string]string   // references by the kind's name; see [workload.Optional]
	PostgresUser    string              // the superuser
	CloudflareToken pulumi.StringOutput // for Caddy's DNS challenge; a secret
	TLS             caddysite.TLS
	ACMEEmail       string
}

// Platform is what all apps share: the network, PostgreSQL, Redis, Caddy, Portainer.
type Platform struct {
	pulumi.ResourceState

	// Network is the name of the one Docker network.
	Network pulumi.StringOutput
	// Ready is what must be there before an app starts.
	Ready []pulumi.Resource

	services       map[ledger.Kind]ledger.Service
	networkName    string
	program        *ServerProgram
	redisPassword  pulumi.StringOutput
	caddyDirectory string
}

// NewPlatform looks the shared services up or creates them. It never creates a service that
// runs on demand: Flower is started by hand while somebody uses it (docs/runbook.md).
func NewPlatform(ctx *pulumi.Context, name string, args *PlatformArgs, opts ...pulumi.ResourceOption) (*Platform, error) {
	platform := &Platform{
		services: map[ledger.Kind]ledger.Service{}, networkName: args.Ledger.Server.Network, program: args.Program,
		redisPassword: args.RedisPassword, caddyDirectory: args.CaddyDirectory,
	}
	for _, s := range args.Ledger.Services {
		platform.services[s.Kind] = s
	}
	for _, needed := range []ledger.Kind{ledger.Postgres, ledger.Redis, ledger.Caddy} {
		if _, ok := platform.services[needed]; !ok {
			return nil, fmt.Errorf("the ledger has no %s; every app needs one: add it to Services in internal/ledger", needed)
		}
	}
	inputs := pulumi.Map{"mode": pulumi.String(args.Mode), "network": pulumi.String(args.Ledger.Server.Network)}
	if err := ctx.RegisterComponentResourceV2(ledger.TypePlatform, name, inputs, platform, opts...); err != nil {
		return nil, fmt.Errorf("registering platform %q: %w", name, err)
	}
	var err error
	switch args.Mode {
	case workload.Existing:
		err = platform.lookUp(ctx, args)
	case workload.Managed:
		err = platform.create(ctx, args)
	default:
		err = fmt.Errorf("platform mode %q; accepted are %q and %q", args.Mode, workload.Existing, workload.Managed)
	}
	if err != nil {
		return nil, err
	}
	if err := ctx.RegisterResourceOutputs(platform, inputs); err != nil {
		return nil, fmt.Errorf("registering outputs of platform %q: %w", name, err)
	}
	return platform, nil
}

// lock is a file on the server. Two verbs that lock it never run at the same time.
func (p *Platform) lock(name string) string { return ledger.LockFile(p.caddyDirectory, name) }

func (p *Platform) service(k ledger.Kind) ledger.Service { return p.services[k] }

// lookUp finds the network and checks that the services of Phase 0 are what the apps
// need, before the first app is touched.
func (p *Platform) lookUp(ctx *pulumi.Context, args *PlatformArgs) error {
	found := docker.LookupNetworkOutput(ctx, docker.LookupNetworkOutputArgs{
		Name: pulumi.String(args.Ledger.Server.Network),
	}, pulumi.Parent(p))
	p.Network = found.Name()
	caddy, postgres := p.service(ledger.Caddy).Container, p.service(ledger.Postgres)
	text, err := document.Write(document.Platform{
		Header: document.NewHeader("", "platform"), Network: args.Ledger.Server.Network,
		Containers: []string{postgres.Container, p.service(ledger.Redis).Container, caddy},
		Caddy:      caddy, Modules: []string{caddysite.DNSModule}, Sites: ledger.SitesDirectory(args.CaddyDirectory),
		Postgres: postgres.Container, SharedMemory: int(postgres.SharedMemory()),
	})
	if err != nil {
		return err
	}
	checked, err := p.program.run(ctx, "platform-check", task{verb: document.CheckPlatform, document: pulumi.String(text)}, pulumi.Parent(p))
	if err != nil {
		return err
	}
	p.Ready = []pulumi.Resource{checked}
	return nil
}

// create makes the network, the volumes and the services.
func (p *Platform) create(ctx *pulumi.Context, args *PlatformArgs) error {
	within := pulumi.Parent(p)
	network, err := docker.NewNetwork(ctx, "network", &docker.NetworkArgs{
		Name: pulumi.String(args.Ledger.Server.Network), Driver: pulumi.String("bridge"),
		IpamConfigs: docker.NetworkIpamConfigArray{docker.NetworkIpamConfigArgs{
			Subnet:  pulumi.String(args.Subnet.Masked().String()),
			IpRange: pulumi.String(ledger.DockerAddresses(args.Subnet).String()),
			Gateway: pulumi.String(ledger.Gateway(args.Subnet).String()), // Docker's own choice would show as a change
		}},
		Labels: docker.NetworkLabelArray{docker.NetworkLabelArgs{Label: pulumi.String(ledger.LabelStack), Value: pulumi.String(ctx.Stack())}},
	}, within, pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return fmt.Errorf("registering network %s: %w", args.Ledger.Server.Network, err)
	}
	p.Network = network.Name

	caddyfile, err := caddysite.RenderMain(caddysite.MainOptions{TLS: args.TLS, Email: args.ACMEEmail})
	if err != nil {
		return fmt.Errorf("rendering the main Caddyfile: %w", err)
	}
	text, err := document.Write(document.Caddyfile{
		Header: document.NewHeader("", "Caddyfile"), Caddy: p.service(ledger.Caddy).Container, Directory: args.CaddyDirectory, Text: caddyfile,
	})
	if err != nil {
		return err
	}
	main, err := p.program.run(ctx, "caddyfile", task{verb: document.PutCaddyfile, document: pulumi.String(text)}, within)
	if err != nil {
		return err
	}

	var made []container
	var running []pulumi.Resource
	triggers := pulumi.Array{}
	for _, s := range args.Ledger.Services {
		if s.OnDemand {
			continue
		}
		reference, ok := args.Images[string(s.Kind)]
		if !ok && workload.Optional(s.Kind) {
			continue
		}
		if !ok {
			return fmt.Errorf("the platform needs an image for %q, for which the settings hold no reference", s.Kind)
		}
		image, err := docker.NewRemoteImage(ctx, ledger.Logical("image", string(s.Kind)), &docker.RemoteImageArgs{
			Name: pulumi.String(reference), KeepLocally: pulumi.Bool(true),
		}, within)
		if err != nil {
			return fmt.Errorf("registering the image of %s: %w", s.Container, err)
		}
		after := []pulumi.Resource{image, main}
		c, err := p.container(ctx, args, s, reference)
		if err != nil {
			return err
		}
		for _, v := range c.volumes {
			mount := v.(docker.ContainerVolumeArgs)
			name, isVolume := mount.VolumeName.(pulumi.String)
			if !isVolume {
				continue
			}
			volume, err := docker.NewVolume(ctx, ledger.Logical("volume", string(name)), &docker.VolumeArgs{
				Name:   name,
				Labels: docker.VolumeLabelArray{docker.VolumeLabelArgs{Label: pulumi.String(ledger.LabelStack), Value: pulumi.String(ctx.Stack())}},
			}, within, pulumi.Protect(true), pulumi.RetainOnDelete(true))
			if err != nil {
				return fmt.Errorf("registering volume %s: %w", name, err)
			}
			after = append(after, volume)
		}
		registered, err := c.register(ctx, string(s.Kind), within, pulumi.DependsOn(after))
		if err != nil {
			return err
		}
		made, running, triggers = append(made, c), append(running, registered), append(triggers, registered.ID())
	}
	ready, err := p.awaitReady(ctx, "platform-ready", "", made, triggers, "No app was touched.", within, pulumi.DependsOn(running))
	if err != nil {
		return err
	}
	p.Ready = append(p.Ready, ready)
	return p.closeMaintenanceDatabases(ctx, ready)
}

// awaitReady registers that an update waits until all containers are ready. What does not
// happen otherwise stands in the message.
func (p *Platform) awaitReady(ctx *pulumi.Context, name, app string, containers []container, triggers pulumi.Array, otherwise string, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	ready := document.Ready{Header: document.NewHeader(app, name), Patience: seconds(workload.Patience), Otherwise: otherwise}
	for _, c := range containers {
		ready.Containers = append(ready.Containers, document.Awaited{Name: c.Name, Steady: seconds(c.steady)})
	}
	text, err := document.Write(ready)
	if err != nil {
		return nil, err
	}
	return p.program.run(ctx, name, task{verb: document.AwaitReady, document: pulumi.String(text), triggers: triggers}, opts...)
}

// closeMaintenanceDatabases keeps the apps' roles out of the databases that initdb makes.
// Every role may connect to those until PUBLIC is revoked.
func (p *Platform) closeMaintenanceDatabases(ctx *pulumi.Context, after pulumi.Resource) error {
	for _, name := range []string{"postgres", "template1"} {
		revoked, err := postgresql.NewGrant(ctx, ledger.Logical("revoke-public", name), &postgresql.GrantArgs{
			Database: pulumi.String(name), Role: pulumi.String("public"), ObjectType: pulumi.String("database"),
			Privileges: pulumi.StringArray{},
		}, pulumi.Parent(p), pulumi.DependsOn([]pulumi.Resource{after}), pulumi.RetainOnDelete(true))
		if err != nil {
			return fmt.Errorf("revoking PUBLIC on %s: %w", name, err)
		}
		p.Ready = append(p.Ready, revoked)
		after = revoked
	}
	return nil
}

// container is the container of a shared service.
func (p *Platform) container(ctx *pulumi.Context, args *PlatformArgs, s ledger.Service, image string) (container, error) {
	service, err := workload.ServiceOf(s, args.Ledger.Server, args.PostgresUser)
	if err != nil {
		return container{}, err
	}
	c := runs{
		name: s.Container, project: "infra", service: string(s.Kind), stack: ctx.Stack(), image: image,
		network: p.networkName, memory: s.Memory, entrypoint: service.Entrypoint, command: service.Command,
		probe: service.Probe, grace: service.Grace, capabilities: service.Capabilities,
	}.container()
	c.network = p.Network
	c.sharedMemory = int(service.SharedMemory)
	c.replaceOn = []string{"healthcheck"} // the provider ignores the change otherwise
	for _, port := range s.HostPorts {
		c.hostPorts = append(c.hostPorts, docker.ContainerPortArgs{Internal: pulumi.Int(port), External: pulumi.Int(port)})
	}
	c.volumes = docker.ContainerVolumeArray{
		docker.ContainerVolumeArgs{VolumeName: pulumi.String(ledger.Volume(s.Container)), ContainerPath: pulumi.String(service.Data)},
	}
	mount := func(host, at string, readOnly pulumi.BoolPtrInput) {
		c.volumes = append(c.volumes, docker.ContainerVolumeArgs{HostPath: pulumi.String(host), ContainerPath: pulumi.String(at), ReadOnly: readOnly})
	}
	switch s.Kind {
	case ledger.Postgres:
		c.address = ledger.PostgresAddress(args.Subnet)
		c.env["POSTGRES_USER"] = pulumi.String(args.PostgresUser)
		c.env[service.Password] = args.PostgresPassword
	case ledger.Redis:
		c.env[service.Password] = args.RedisPassword
	case ledger.Caddy:
		c.env[service.Password] = args.CloudflareToken
		mount(args.CaddyDirectory, "/etc/caddy", pulumi.Bool(true))
		mount(ledger.StaticDirectory, ledger.StaticDirectory, pulumi.Bool(true))
	case ledger.Portainer:
		mount("/var/run/docker.sock", "/var/run/docker.sock", nil)
	default: // ServiceOf knows no other that is created
	}
	return c, nil
}
