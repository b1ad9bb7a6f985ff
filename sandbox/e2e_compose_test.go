package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
	imagetypes "github.com/docker/docker/api/types/image"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/pinned"
)

// Docker Compose starts the very containers of the fleet, in the same run. It finds
// network, data and Caddy's site files there, which the update from nothing had to make.
// Its containers stay: this is the last part of the suite.
func (s *suite) testCompose(t *testing.T) {
	binary, err := pinned.Compose(t.Context(), "", os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	c := composition{binary: binary, file: filepath.Join(t.TempDir(), "compose.yaml")}
	project := s.composeProject(t)
	s.removeContainers(t)
	compose := c.up(t, project)
	s.figures["compose up from nothing"] = compose
	s.expectHealthy(t)
	project = s.composeRedeploy(t, c, project, 100)
	s.composeRedeploy(t, c, project, 20)

	ours := s.figures["up from nothing"]
	if ours == 0 {
		t.Log("no ratio: this fleet was not brought up in this run")
		return
	}
	t.Logf("from nothing the program takes %.2f times as long as Docker Compose", float64(ours)/float64(compose))
}

// composeRedeploy gives Snapify another image as Docker Compose does it, under the load of
// the fleet's own handover. What is lost and how long is waited is a figure to compare,
// not a promise. It returns what runs then.
func (s *suite) composeRedeploy(t *testing.T, c composition, running *types.Project, perSecond int) *types.Project {
	t.Helper()
	backend := ledger.ContainerName("snapify", ledger.Backend)
	before := running.Services[backend].Image
	after := image("1")
	if before == image("1") {
		after = image("2")
	}
	changed, err := running.WithServicesTransform(func(_ string, service types.ServiceConfig) (types.ServiceConfig, error) {
		if service.Labels[ledger.LabelApp] == "snapify" {
			service.Image = after
		}
		return service, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	others := startAttack(browser(t), 20, otherApps("snapify"), nil)
	load := startAttack(browser(t), perSecond, []string{"https://snapify.pk/"}, []string{"https://snapify.pk/jobs"})
	time.Sleep(5 * time.Second)
	started := time.Now()
	c.write(t, changed)
	c.run(t, "run", "--rm", "--no-deps", "--no-TTY", backend, "python", "manage.py", "migrate", "--noinput")
	c.up(t, changed)
	s.figures[fmt.Sprintf("compose redeploy of one app, %d a second", perSecond)] = time.Since(started)
	time.Sleep(5 * time.Second)
	load.stop()
	others.stop()
	t.Logf("compose redeploys %s → %s: %s", before, after, load)
	s.figures[fmt.Sprintf("compose redeploy, longest wait, %d a second", perSecond)] = load.metrics.Latencies.Max
	s.expectHealthy(t)
	return changed
}

// removeContainers leaves data, network and site files.
func (s *suite) removeContainers(t *testing.T) {
	t.Helper()
	docker(t, append([]string{"rm", "--force"}, slices.Sorted(maps.Keys(s.ids(t)))...)...)
}

// composition is Docker Compose with one file.
type composition struct{ binary, file string }

// up starts what the project declares and returns how long it took until all was healthy.
func (c composition) up(t *testing.T, project *types.Project) time.Duration {
	t.Helper()
	c.write(t, project)
	started := time.Now()
	c.run(t, "up", "--detach", "--wait")
	return time.Since(started)
}

func (c composition) run(t *testing.T, args ...string) {
	t.Helper()
	started := time.Now()
	said, err := exec.CommandContext(t.Context(), c.binary, append([]string{"--file", c.file, "--progress", "plain"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("compose %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	t.Logf("compose %s: %s", args[0], time.Since(started).Round(100*time.Millisecond))
}

// write replaces the file, which holds secrets.
func (c composition) write(t *testing.T, project *types.Project) {
	t.Helper()
	text, err := project.MarshalYAML()
	if err == nil {
		// What looks like a variable is one to Compose.
		err = os.WriteFile(c.file, bytes.ReplaceAll(text, []byte("$"), []byte("$$")), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// composeProject declares what runs: the same containers, each app behind the one before
// it as in the rollout.
func (s *suite) composeProject(t *testing.T) *types.Project {
	t.Helper()
	project := &types.Project{Name: "alorig", Services: types.Services{}, Networks: types.Networks{}, Volumes: types.Volumes{}}
	images := map[string]*imagetypes.InspectResponse{}
	byApp := map[string][]string{} // the shared services under no name
	for _, c := range inspect[container.InspectResponse](t, "container", slices.Sorted(maps.Keys(s.ids(t)))...) {
		if images[c.Image] == nil {
			images[c.Image] = &inspect[imagetypes.InspectResponse](t, "image", c.Image)[0]
		}
		service := composeService(t, c, images[c.Image])
		project.Services[service.Name] = service
		for name := range service.Networks {
			project.Networks[name] = types.NetworkConfig{Name: name, External: true}
		}
		for _, v := range service.Volumes {
			if v.Type == types.VolumeTypeVolume {
				project.Volumes[v.Source] = types.VolumeConfig{Name: v.Source, External: true}
			}
		}
		app := service.Labels[ledger.LabelApp]
		byApp[app] = append(byApp[app], service.Name)
	}
	before := byApp[""]
	for _, app := range fleet.Apps {
		for _, name := range byApp[app.Name] {
			service := project.Services[name]
			service.DependsOn = types.DependsOnConfig{}
			for _, needed := range before {
				service.DependsOn[needed] = types.ServiceDependency{Condition: types.ServiceConditionHealthy, Required: true}
			}
			project.Services[name] = service
		}
		before = byApp[app.Name]
	}
	return project
}

// composeService declares a container that runs, without what it has from its image.
func composeService(t *testing.T, c container.InspectResponse, from *imagetypes.InspectResponse) types.ServiceConfig {
	t.Helper()
	name := strings.TrimPrefix(c.Name, "/")
	host, health := c.HostConfig, c.Config.Healthcheck
	if health == nil || c.Config.StopTimeout == nil {
		t.Fatalf("%s has no health check or no time to stop", name)
	}
	interval, timeout, startPeriod := types.Duration(health.Interval), types.Duration(health.Timeout), types.Duration(health.StartPeriod)
	retries := uint64(health.Retries)
	grace := types.Duration(time.Duration(*c.Config.StopTimeout) * time.Second)
	service := types.ServiceConfig{
		Name: name, ContainerName: name, Image: c.Config.Image, PullPolicy: types.PullPolicyNever,
		Environment: types.NewMappingWithEquals(slices.DeleteFunc(slices.Clone(c.Config.Env), func(v string) bool { return slices.Contains(from.Config.Env, v) })),
		Labels:      types.Labels(maps.Clone(c.Config.Labels)),
		HealthCheck: &types.HealthCheckConfig{
			Test: types.HealthCheckTest(health.Test), Interval: &interval, Timeout: &timeout, StartPeriod: &startPeriod, Retries: &retries,
		},
		CPUShares: host.CPUShares, MemLimit: types.UnitBytes(host.Memory), MemReservation: types.UnitBytes(host.MemoryReservation), MemSwapLimit: types.UnitBytes(host.MemorySwap),
		Restart: string(host.RestartPolicy.Name), StopGracePeriod: &grace, Init: host.Init,
		Logging:     &types.LoggingConfig{Driver: host.LogConfig.Type, Options: types.Options(host.LogConfig.Config)},
		SecurityOpt: host.SecurityOpt, CapAdd: host.CapAdd, CapDrop: host.CapDrop,
		Networks: map[string]*types.ServiceNetworkConfig{},
	}
	maps.DeleteFunc(service.Labels, func(label, _ string) bool { return strings.HasPrefix(label, "com.docker.compose.") }) // Compose's own
	if !slices.Equal(c.Config.Cmd, from.Config.Cmd) {
		service.Command = types.ShellCommand(c.Config.Cmd)
	}
	if !slices.Equal(c.Config.Entrypoint, from.Config.Entrypoint) {
		service.Entrypoint = types.ShellCommand(c.Config.Entrypoint)
	}
	for network, at := range c.NetworkSettings.Networks {
		service.Networks[network] = &types.ServiceNetworkConfig{}
		if at.IPAMConfig != nil {
			service.Networks[network].Ipv4Address = at.IPAMConfig.IPv4Address
		}
	}
	for _, m := range c.Mounts {
		volume := types.ServiceVolumeConfig{Type: string(m.Type), Source: m.Source, Target: m.Destination, ReadOnly: !m.RW}
		if volume.Type == types.VolumeTypeVolume {
			volume.Source = m.Name
		}
		service.Volumes = append(service.Volumes, volume)
	}
	for port, bindings := range host.PortBindings {
		for _, b := range bindings {
			service.Ports = append(service.Ports, types.ServicePortConfig{
				Target: uint32(port.Int()), Protocol: port.Proto(), HostIP: b.HostIP, Published: b.HostPort,
			})
		}
	}
	return service
}

// inspect decodes what `docker inspect` says of containers, images, networks or volumes.
func inspect[T any](t *testing.T, kind string, names ...string) []T {
	t.Helper()
	var found []T
	said := docker(t, append([]string{kind, "inspect"}, names...)...)
	if err := json.Unmarshal([]byte(said), &found); err != nil {
		t.Fatalf("docker %s inspect: %v", kind, err) // without what it says: variables are secret
	}
	return found
}

// reportFigures prints what was measured, for docs/performance.md.
func (s *suite) reportFigures(t *testing.T) {
	t.Helper()
	var table strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.figures)) {
		fmt.Fprintf(&table, "\n%-40s %s", name, s.figures[name].Round(10*time.Millisecond))
	}
	t.Logf("figures:%s", table.String())
}
