package components

import (
	_ "embed" // the scripts
	"fmt"
	"net/netip"
	"time"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi-postgresql/sdk/v3/go/postgresql"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/caddysite"
	"github.com/alorig/fleet/internal/ledger"
)

// PlatformMode tells whose the shared services are.
type PlatformMode string

const (
	// Existing looks the services of Phase 0 up and creates none of them.
	Existing PlatformMode = "existing"
	// Managed creates them: a new server, or the sandbox.
	Managed PlatformMode = "managed"
)

// PlatformArgs declares the shared services.
type PlatformArgs struct {
	Mode             PlatformMode
	Ledger           ledger.Ledger
	Shell            Shell
	CaddyDirectory   string              // on the server; mounted in Caddy at /etc/caddy
	RedisPassword    pulumi.StringOutput // of Redis' default user; a secret
	PostgresPassword pulumi.StringOutput // of the superuser; a secret

	// Only for Managed.
	Subnet          netip.Prefix        // of the network
	Images          map[string]string   // references by the kind's name; see [Optional]
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
	shell          Shell
	redisPassword  pulumi.StringOutput
	caddyDirectory string
}

//go:embed scripts/platform-check.sh
var checkPlatform string

//go:embed scripts/caddy-main.sh
var putCaddyMain string

// NewPlatform looks the shared services up or creates them. On-demand services are
// never created: Flower is started by hand while somebody looks (docs/runbook.md).
func NewPlatform(ctx *pulumi.Context, name string, args *PlatformArgs, opts ...pulumi.ResourceOption) (*Platform, error) {
	platform := &Platform{
		services: map[ledger.Kind]ledger.Service{}, networkName: args.Ledger.Server.Network, shell: args.Shell,
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
	case Existing:
		err = platform.lookUp(ctx, args)
	case Managed:
		err = platform.create(ctx, args)
	default:
		err = fmt.Errorf("platform mode %q; accepted are %q and %q", args.Mode, Existing, Managed)
	}
	if err != nil {
		return nil, err
	}
	if err := ctx.RegisterResourceOutputs(platform, inputs); err != nil {
		return nil, fmt.Errorf("registering outputs of platform %q: %w", name, err)
	}
	return platform, nil
}

// Optional tells whether a managed platform stands without a service, and so leaves out
// the one for which it is given no image. No app needs Portainer, and Portainer can do
// anything to the server: nobody should get it unasked.
func Optional(k ledger.Kind) bool { return k == ledger.Portainer }

// PostgresAddress is the one fixed address of a managed network. Nothing of PostgreSQL is
// published, so whoever changes databases, from the server itself or by an SSH forward,
// must know where it is before it exists.
func PostgresAddress(subnet netip.Prefix) netip.Addr { return gateway(subnet).Next() }

func gateway(subnet netip.Prefix) netip.Addr { return subnet.Masked().Addr().Next() }

// ownAddresses is the upper half of the subnet, from which Docker gives addresses: left
// to the whole of it, the first container to start would take PostgreSQL's.
func ownAddresses(subnet netip.Prefix) netip.Prefix {
	address := subnet.Masked().Addr().As4()
	address[subnet.Bits()/8] |= 0x80 >> (subnet.Bits() % 8)
	return netip.PrefixFrom(netip.AddrFrom4(address), subnet.Bits()+1)
}

// lock is a file on the server that keeps two scripts from the same thing.
func (p *Platform) lock(name string) string { return p.caddyDirectory + "/sites/." + name + ".lock" }

func (p *Platform) service(k ledger.Kind) ledger.Service { return p.services[k] }

// lookUp finds the network and proves that the services of Phase 0 are what the apps
// rely on, before the first app is touched.
func (p *Platform) lookUp(ctx *pulumi.Context, args *PlatformArgs) error {
	found := docker.LookupNetworkOutput(ctx, docker.LookupNetworkOutputArgs{
		Name: pulumi.String(args.Ledger.Server.Network),
	}, pulumi.Parent(p))
	p.Network = found.Name()
	proven, err := args.Shell.run(ctx, "platform-check", script{
		apply: fmt.Sprintf("network=%s\npostgres=%s\nredis=%s\ncaddy=%s\nsites=%s/sites\n", args.Ledger.Server.Network,
			p.service(ledger.Postgres).Container, p.service(ledger.Redis).Container, p.service(ledger.Caddy).Container, args.CaddyDirectory) + checkPlatform,
	}, pulumi.Parent(p))
	if err != nil {
		return err
	}
	p.Ready = []pulumi.Resource{proven}
	return nil
}

// create makes the network, the volumes and the services.
func (p *Platform) create(ctx *pulumi.Context, args *PlatformArgs) error {
	within := pulumi.Parent(p)
	network, err := docker.NewNetwork(ctx, "network", &docker.NetworkArgs{
		Name: pulumi.String(args.Ledger.Server.Network), Driver: pulumi.String("bridge"),
		IpamConfigs: docker.NetworkIpamConfigArray{docker.NetworkIpamConfigArgs{
			Subnet:  pulumi.String(args.Subnet.Masked().String()),
			IpRange: pulumi.String(ownAddresses(args.Subnet).String()),
			Gateway: pulumi.String(gateway(args.Subnet).String()), // Docker's own choice would show as a change
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
	main, err := args.Shell.run(ctx, "caddyfile", script{
		apply: fmt.Sprintf("caddy=%s\ndirectory=%s\n", p.service(ledger.Caddy).Container, args.CaddyDirectory) + putCaddyMain,
		stdin: pulumi.String(caddyfile),
	}, within)
	if err != nil {
		return err
	}

	for _, s := range args.Ledger.Services {
		if s.OnDemand {
			continue
		}
		reference, ok := args.Images[string(s.Kind)]
		if !ok && Optional(s.Kind) {
			continue
		}
		if !ok {
			return fmt.Errorf("the platform needs an image for %q, for which the settings hold no reference", s.Kind)
		}
		image, err := docker.NewRemoteImage(ctx, "image-"+string(s.Kind), &docker.RemoteImageArgs{
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
			volume, err := docker.NewVolume(ctx, "volume-"+string(s.Kind)+"-"+string(name), &docker.VolumeArgs{
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
		p.Ready = append(p.Ready, registered)
		if s.Kind == ledger.Postgres {
			if err := p.closeMaintenanceDatabases(ctx, registered); err != nil {
				return err
			}
		}
	}
	return nil
}

// closeMaintenanceDatabases keeps the apps' roles out of the databases that initdb makes.
// Every role may connect to them too, until PUBLIC is revoked.
func (p *Platform) closeMaintenanceDatabases(ctx *pulumi.Context, after pulumi.Resource) error {
	for _, name := range []string{"postgres", "template1"} {
		revoked, err := postgresql.NewGrant(ctx, "revoke-public-"+name, &postgresql.GrantArgs{
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

// Linux capabilities an official image needs to drop from root to its own user, and
// Caddy to listen below 1024. Without CAP_ a refresh reads another name back than was
// set, and the next update replaces the container.
var (
	dropPrivileges = []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID"}
	bindLowPorts   = []string{"CAP_NET_BIND_SERVICE"}
)

func (p *Platform) container(ctx *pulumi.Context, args *PlatformArgs, s ledger.Service, image string) (container, error) {
	c := container{
		name: s.Container, project: "infra", service: string(s.Kind), stack: ctx.Stack(),
		image: image, network: p.Network, networkName: args.Ledger.Server.Network, memory: s.Memory, grace: 30 * time.Second,
		replaceOn: []string{"healthcheck"}, // the provider ignores the change otherwise
		probe:     probe{interval: 10 * time.Second, timeout: 5 * time.Second, startup: time.Minute},
	}
	env := environment{}
	volume := func(name, at string) {
		c.volumes = append(c.volumes, docker.ContainerVolumeArgs{VolumeName: pulumi.String(name), ContainerPath: pulumi.String(at)})
	}
	for _, port := range s.HostPorts {
		c.hostPorts = append(c.hostPorts, docker.ContainerPortArgs{Internal: pulumi.Int(port), External: pulumi.Int(port)})
	}
	switch s.Kind {
	case ledger.Postgres:
		env["POSTGRES_USER"] = pulumi.String(args.PostgresUser)
		env["POSTGRES_PASSWORD"] = args.PostgresPassword
		c.address = PostgresAddress(args.Subnet)
		// A fast shutdown waits for clients; a database killed hard recovers on start.
		c.grace, c.capabilities = 60*time.Second, dropPrivileges
		c.command = []string{
			"postgres",
			"-c", fmt.Sprintf("max_connections=%d", args.Ledger.Server.Connections+reservedSuperuser),
			"-c", fmt.Sprintf("superuser_reserved_connections=%d", reservedSuperuser),
			"-c", fmt.Sprintf("shared_buffers=%dMB", s.Memory.Limit/4),
		}
		// On the socket the server of initdb answers too; over TCP only the real one does.
		c.probe.test = []string{"CMD", "pg_isready", "-h", "127.0.0.1", "-U", args.PostgresUser}
		volume(ledger.Volume(s.Container), "/var/lib/postgresql/data")
	case ledger.Redis:
		env["REDIS_PASSWORD"] = args.RedisPassword
		c.capabilities = dropPrivileges
		c.entrypoint = []string{"sh", "-c", fmt.Sprintf(redisStart, args.Ledger.Server.RedisMemory)}
		c.probe.test = []string{"CMD-SHELL", `REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli ping | grep -q PONG`}
		volume(ledger.Volume(s.Container), "/data")
	case ledger.Caddy:
		env["CLOUDFLARE_API_TOKEN"] = args.CloudflareToken
		c.capabilities = bindLowPorts
		c.command = []string{"caddy", "run", "--config", "/etc/caddy/Caddyfile"}
		c.probe.test = []string{"CMD", "wget", "-q", "-O", "/dev/null", "http://localhost/health"} // of the main Caddyfile
		volume(ledger.Volume(s.Container), "/data")
		c.volumes = append(c.volumes,
			docker.ContainerVolumeArgs{HostPath: pulumi.String(args.CaddyDirectory), ContainerPath: pulumi.String("/etc/caddy"), ReadOnly: pulumi.Bool(true)},
			docker.ContainerVolumeArgs{HostPath: pulumi.String(ledger.StaticDirectory), ContainerPath: pulumi.String(ledger.StaticDirectory), ReadOnly: pulumi.Bool(true)},
		)
	case ledger.Portainer:
		c.command = []string{"--no-analytics"}
		// The image has no shell and no client; its own flag answers for it.
		c.probe.test = []string{"CMD", "/portainer", "--version"}
		volume(ledger.Volume(s.Container), "/data")
		c.volumes = append(c.volumes, docker.ContainerVolumeArgs{
			HostPath: pulumi.String("/var/run/docker.sock"), ContainerPath: pulumi.String("/var/run/docker.sock"),
		})
	case ledger.Flower:
		return c, fmt.Errorf("%s runs on demand and is never declared", s.Container)
	default:
		return c, fmt.Errorf("%s is of the kind %q, which the platform cannot create", s.Container, s.Kind)
	}
	c.env = env
	return c, nil
}

// reservedSuperuser keeps connections for the operator when the apps hold all theirs.
const reservedSuperuser = 3

// redisStart writes the default user with the hash of its password into the ACL file, so
// that the password is on no command line, and keeps the users of the apps.
// A broker must never evict: with noeviction a full Redis refuses writes and an alert
// tells; anything else loses tasks silently (docs/adr/0009-redis-never-evicts.md).
const redisStart = `password=$(printf %%s "$REDIS_PASSWORD" | sha256sum | cut -c1-64)
touch /data/users.acl
others=$(grep -v '^user default ' /data/users.acl || true)
printf 'user default on #%%s ~* &* +@all\n%%s\n' "$password" "$others" > /data/users.acl
exec docker-entrypoint.sh redis-server --dir /data --appendonly yes --aclfile /data/users.acl --maxmemory %dmb --maxmemory-policy noeviction`
