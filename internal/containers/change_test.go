package containers_test

import (
	"encoding/json"
	"io"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/alorig/fleet/internal/containers"
	"github.com/alorig/fleet/internal/containers/containerstest"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/handover"
)

// processor is the time of the processor that a container has taken.
func processor(t *testing.T, docker *client.Client, name string) time.Duration {
	t.Helper()
	stats, err := docker.ContainerStatsOneShot(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer stats.Body.Close()
	var got container.StatsResponse
	if err := json.NewDecoder(stats.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	return time.Duration(got.CPUStats.CPUUsage.TotalUsage)
}

func inspect(t *testing.T, docker *client.Client, name string) container.InspectResponse {
	t.Helper()
	got, err := docker.ContainerInspect(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestAContainerIsCreatedAsItsDocumentSays(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	c := containerstest.Container(containerstest.Name(t), "A=", "B=b")
	c.CPUShares, c.Grace = document.BackgroundShares, 17
	c.Labels["com.example.note"] = "a b"
	if err := containers.Create(t.Context(), docker, c); err != nil {
		t.Fatal(err)
	}
	got := inspect(t, docker, c.Name)
	same := func(what string, got, want any) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	host := got.HostConfig
	same("memory", host.Memory, int64(96<<20))
	same("memory with swap", host.MemorySwap, int64(96<<20))
	same("reservation", host.MemoryReservation, int64(48<<20))
	same("CPU shares", host.CPUShares, int64(128))
	same("restart policy", host.RestartPolicy, container.RestartPolicy{Name: "unless-stopped"})
	same("log", host.LogConfig, container.LogConfig{Type: "json-file", Config: c.LogOptions})
	same("init", *host.Init, true)
	same("security options", host.SecurityOpt, []string{"no-new-privileges"})
	same("dropped capabilities", []string(host.CapDrop), []string{"ALL"})
	same("added capabilities", strings.TrimPrefix(strings.Join(host.CapAdd, " "), "CAP_"), "CHOWN") // some engines add the prefix
	same("network mode", string(host.NetworkMode), containerstest.Network)
	same("networks", len(got.NetworkSettings.Networks), 1)
	same("published ports", len(host.PortBindings), 0)
	same("mounts", len(got.Mounts), 0)
	same("privileges", host.Privileged, false)
	same("labels", got.Config.Labels, c.Labels)
	same("entrypoint", []string(got.Config.Entrypoint), []string{"/app"})
	same("command", []string(got.Config.Cmd), []string{"serve"})
	same("grace", *got.Config.StopTimeout, 17)
	same("environment", got.Config.Env[:2], []string{"A=", "B=b"})
	same("health check", *got.Config.Healthcheck, container.HealthConfig{
		Test: []string{"CMD", "/app", "probe"}, Interval: 30 * time.Second, Timeout: 10 * time.Second, StartPeriod: time.Minute, Retries: 2,
	})

	// What serves gets the weight and the restart policy of the document, and keeps the rest.
	c.CPUShares, c.Restart = 0, "always"
	if err := containers.Serve(t.Context(), docker, c.Name, c); err != nil {
		t.Fatal(err)
	}
	host.CPUShares, host.RestartPolicy.Name = 1024, "always"
	same("what serves", inspect(t, docker, c.Name).HostConfig, host)
}

func TestAContainerWithoutAProbeHasNone(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	c := containerstest.Container(containerstest.Name(t))
	c.Probe = nil
	containerstest.Start(t, docker, c)
	if got := inspect(t, docker, c.Name); got.State.Health != nil && got.State.Health.Status != container.NoHealthcheck {
		t.Errorf("its health is %s", got.State.Health.Status)
	}
	if got, err := containers.Look(t.Context(), docker, c.Name); err != nil || got.Condition != handover.Ready {
		t.Errorf("it is %s (%v)", got, err)
	}
}

// awkward is all that something on the way could stumble over.
const awkward = "c4n4ry 'single' \"double\" $HOME ${HOME} $(echo run) `echo run` \\ \\n * ; & | # %s = \n\tsecond line é\n"

func TestEnvironmentArrivesUnchanged(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	c := containerstest.Container(containerstest.Name(t))
	c.Environment = map[string]string{"GREETING": awkward, "EMPTY": ""}
	containerstest.Start(t, docker, c)
	said, code, err := containers.Exec(t.Context(), docker, c.Name, nil, "/app", "environment")
	if err != nil || code != 0 {
		t.Fatalf("%d, %v: %s", code, err, said)
	}
	for name, value := range c.Environment {
		if want := strconv.Quote(name + "=" + value); !strings.Contains(said, want+"\n") {
			t.Errorf("want %s among\n%s", want, said)
		}
	}
}

// However a container is, it goes, and once it is gone that is no error.
func TestAContainerIsRemovedInEveryState(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	for name, bring := range map[string]func(t *testing.T, name string) error{
		"runs":    func(*testing.T, string) error { return nil },
		"stopped": func(t *testing.T, name string) error { return containers.Stop(t.Context(), docker, name) },
		"paused":  func(t *testing.T, name string) error { return docker.ContainerPause(t.Context(), name) },
		"is being removed by somebody else": func(t *testing.T, name string) error {
			for range 5 {
				go docker.ContainerRemove(t.Context(), name, container.RemoveOptions{Force: true})
			}
			return nil
		},
		"falls over":    nil,
		"never started": nil,
		"missing":       nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := containerstest.Container(containerstest.Name(t))
			switch name {
			case "falls over":
				c.Environment["EXIT"] = "3"
				containerstest.Start(t, docker, c)
			case "never started":
				if err := containers.Create(t.Context(), docker, c); err != nil {
					t.Fatal(err)
				}
			case "missing":
			default:
				containerstest.Start(t, docker, c)
				if err := bring(t, c.Name); err != nil {
					t.Fatal(err)
				}
			}
			if err := containers.Remove(t.Context(), docker, c.Name); err != nil {
				t.Error(err)
			}
			if got, err := containers.Look(t.Context(), docker, c.Name); err != nil || got.Condition != handover.Missing || got.Status != "missing" {
				t.Errorf("it is %s (%v)", got, err)
			}
		})
	}
}

func TestAContainerHasItsGrace(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	c := containerstest.Container(containerstest.Name(t), "STUBBORN=1")
	c.Grace = 2
	containerstest.Start(t, docker, c)
	if _, err := await(t, docker, patience, containers.Wait{Name: c.Name}); err != nil { // it ignores the signal from now on
		t.Fatal(err)
	}
	began := time.Now()
	if err := containers.Stop(t.Context(), docker, c.Name); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 2*time.Second || took > late {
		t.Errorf("it was given %s", took)
	}
	if got, err := containers.Look(t.Context(), docker, c.Name); err != nil || got.Condition != handover.Stopped || got.ExitCode != 137 {
		t.Errorf("%+v (%v)", got, err)
	}
}

func TestTheEndOfAContainerIsAwaited(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	c := containerstest.Container(containerstest.Name(t), "BOOT=500ms", "EXIT=3")
	c.Restart = "no"
	containerstest.Start(t, docker, c)
	for range 2 { // also of one that has ended already
		if code, err := containers.AwaitEnd(t.Context(), docker, c.Name); err != nil || code != 3 {
			t.Errorf("%d, %v", code, err)
		}
	}
}

// The errors of every change name the container and say what was tried.
func TestAFailureNamesTheContainer(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	c := containerstest.Container(containerstest.Name(t))
	_, ended := containers.AwaitEnd(t.Context(), docker, c.Name)
	_, _, run := containers.Exec(t.Context(), docker, c.Name, nil, "/app", "probe")
	errs := map[string]error{
		"starting the container " + c.Name:                              containers.Start(t.Context(), docker, c.Name),
		"changing the container " + c.Name:                              containers.Serve(t.Context(), docker, c.Name, c),
		"renaming the container " + c.Name + " to " + c.Name + "_other": containers.Rename(t.Context(), docker, c.Name, c.Name+"_other"),
		"waiting for the container " + c.Name:                           ended,
		"running /app in the container " + c.Name:                       run,
	}
	c.Image, c.Environment = "alorigtest_missing:latest", map[string]string{"SECRET": "c4n4ry"}
	errs["creating the container "+c.Name] = containers.Create(t.Context(), docker, c)
	for says, err := range errs {
		if err == nil || !strings.HasPrefix(err.Error(), says+": ") || strings.Contains(err.Error(), "c4n4ry") {
			t.Errorf("%v; want %q", err, says)
		}
	}
}

func TestACommandInsideAContainer(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	c := containerstest.Container(containerstest.Name(t))
	c.Environment["DEAF"] = "1"
	containerstest.Start(t, docker, c)
	const much = 3 << 20
	for name, tt := range map[string]struct {
		stdin *strings.Reader
		words []string
		code  int
		keeps int      // bytes of output
		says  []string // in any order: Docker promises none between the two streams
	}{
		"a failure":                        {words: []string{"/app", "probe"}, code: 1, says: []string{"connection refused"}},
		"what does not exist":              {words: []string{"/missing"}, code: 126, says: []string{"no such file or directory"}},
		"standard input reaches it":        {stdin: strings.NewReader("some words"), words: []string{"/app", "copy"}, says: []string{"some words", "10"}},
		"more output than is kept":         {stdin: strings.NewReader(strings.Repeat("x", much)), words: []string{"/app", "copy"}, keeps: 1 << 20},
		"it ends without reading":          {stdin: strings.NewReader(strings.Repeat("x", much)), words: []string{"/app", "probe"}, code: 1},
		"it closes its output long before": {words: []string{"/app", "silent"}, code: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdin io.Reader
			if tt.stdin != nil {
				stdin = tt.stdin
			}
			said, code, err := containers.Exec(t.Context(), docker, c.Name, stdin, tt.words...)
			if err != nil || code != tt.code {
				t.Errorf("%d, %v: %.100s", code, err, said)
			}
			for _, says := range tt.says {
				if !strings.Contains(said, says) {
					t.Errorf("it does not say %q: %.100s", says, said)
				}
			}
			if tt.keeps > 0 && len(said) != tt.keeps {
				t.Errorf("keeps %d bytes", len(said))
			}
		})
	}
}
