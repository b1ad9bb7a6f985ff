package components

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// processes are one of each kind, to run in the ledger's containers.
var processes = map[ledger.Role]workload.Process{
	ledger.Backend:  workload.Gunicorn{Workers: 1, Threads: 2},
	ledger.Channels: workload.Daphne{Threads: 2},
	ledger.Worker:   workload.CeleryWorker{Concurrency: 2, Longest: 5 * time.Minute},
	ledger.Beat:     workload.CeleryBeat{},
	ledger.Payload:  workload.PayloadCMS{Pool: 3, Heap: 400},
}

// What stands beside a container for a while is created by a command, the container
// itself by the provider. Both must say the same, or something else was tried.
func TestTheNextVersionIsWhatTheProviderDeclares(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, app := range ledger.Alorig().Apps {
		for _, booked := range app.Containers {
			seen++
			c := (&WorkloadArgs{
				App: app, Container: booked, Image: "registry.example.com/" + booked.Image + "@sha256:4e1f",
				Spec:        workload.Spec{Role: booked.Role, Process: processes[booked.Role], Environment: map[string]string{"GREETING": "hello"}},
				Secrets:     map[string]pulumi.StringOutput{"SECRET_KEY": pulumi.String("c4n4ry").ToStringOutput()},
				DatabaseURL: pulumi.String("postgres://").ToStringOutput(), RedisURL: pulumi.String("redis://").ToStringOutput(),
				Platform: &Platform{Network: pulumi.String("alorig_net").ToStringOutput(), networkName: "alorig_net"},
			}).container(ourStack)
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				got := parseCreate(t, c.create())
				want := declaredFlags(t, c)
				want["--name"] = []string{"somebody_next"}
				want["--pull"] = []string{"never"} // the update pulls images, and by their digest
				if _, background := want["--cpu-shares"]; background == booked.Role.Serves() {
					t.Errorf("the processor is shared by %q; only who answers requests goes before others", want["--cpu-shares"])
				}
				want["--cpu-shares"] = []string{"128"} // until it serves
				for _, flag := range slices.Sorted(maps.Keys(got)) {
					if _, declared := want[flag]; !declared {
						t.Errorf("%s %q is not declared", flag, got[flag])
					}
				}
				for flag, values := range want {
					if !slices.Equal(got[flag], values) {
						t.Errorf("%s is %q, the provider declares %q", flag, got[flag], values)
					}
				}
			})
		}
	}
	if seen != 20 {
		t.Errorf("%d containers, want 20", seen)
	}
}

// words are what a shell makes of a text.
func words(t *testing.T, script string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", script).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, script)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// parseCreate runs the function in a real shell, in which docker is a function too, and
// returns the values of each flag; those of "" are what comes behind all flags.
func parseCreate(t *testing.T, function string) map[string][]string {
	t.Helper()
	called := words(t, "docker() { printf '%s\\0' \"$@\"; }\n"+function+"create somebody_next")
	if called[0] != "create" {
		t.Fatalf("calls docker %s", called[0])
	}
	flags := map[string][]string{}
	rest := called[1:]
	for len(rest) > 0 && strings.HasPrefix(rest[0], "--") {
		if rest[0] == "--init" {
			flags["--init"], rest = []string{"true"}, rest[1:]
			continue
		}
		flags[rest[0]] = append(flags[rest[0]], rest[1])
		rest = rest[2:]
	}
	flags[""] = rest
	if health := flags["--health-cmd"]; len(health) == 1 {
		flags["--health-cmd"] = words(t, "printf '%s\\0' "+health[0])
	}
	return flags
}

type containerRecorder struct {
	mu    sync.Mutex
	found []map[string]any
}

func (r *containerRecorder) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found = append(r.found, args.Inputs.Mappable())
	return args.Name + "-id", args.Inputs, nil
}

func (*containerRecorder) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return args.Args, nil
}

// declaredFlags registers the container and says what the provider is given as docker's
// command line would.
func declaredFlags(t *testing.T, c container) map[string][]string {
	t.Helper()
	r := &containerRecorder{}
	err := pulumi.RunErr(func(ctx *pulumi.Context) error {
		_, err := c.register(ctx, "container")
		return err
	}, pulumi.WithMocks("alorig", ourStack, r))
	if err != nil || len(r.found) != 1 {
		t.Fatalf("%d containers registered: %v", len(r.found), err)
	}
	declared := r.found[0]
	flags := map[string][]string{}
	put := func(flag string, format string, value any) {
		if value != nil {
			flags[flag] = append(flags[flag], fmt.Sprintf(format, value))
		}
	}
	items := func(key string) []any {
		list, _ := declared[key].([]any)
		return list
	}
	health := declared["healthcheck"].(map[string]any)
	options := declared["logOpts"].(map[string]any)
	put("--memory", "%vm", declared["memory"])
	put("--memory-reservation", "%vm", declared["memoryReservation"])
	put("--memory-swap", "%vm", declared["memorySwap"])
	put("--cpu-shares", "%v", declared["cpuShares"])
	put("--stop-timeout", "%v", declared["stopTimeout"])
	put("--init", "%v", declared["init"])
	put("--log-driver", "%v", declared["logDriver"])
	put("--log-opt", "max-size=%v", options["max-size"])
	put("--log-opt", "max-file=%v", options["max-file"])
	put("--health-interval", "%v", health["interval"])
	put("--health-timeout", "%v", health["timeout"])
	put("--health-start-period", "%v", health["startPeriod"])
	put("--health-retries", "%v", health["retries"])
	for i, word := range health["tests"].([]any) {
		if i == 0 && word != "CMD" {
			t.Fatalf("the health check is a %v", word)
		} else if i > 0 {
			put("--health-cmd", "%v", word)
		}
	}
	for _, network := range items("networksAdvanced") {
		put("--network", "%v", network.(map[string]any)["name"])
	}
	for _, label := range items("labels") {
		put("--label", "%v", label.(map[string]any)["label"].(string)+"="+label.(map[string]any)["value"].(string))
	}
	for _, option := range items("securityOpts") {
		put("--security-opt", "%v", option)
	}
	for _, capability := range declared["capabilities"].(map[string]any)["drops"].([]any) {
		put("--cap-drop", "%v", capability)
	}
	for _, entry := range items("envs") {
		name, _, _ := strings.Cut(entry.(string), "=")
		put("--env", "%v", name)
	}
	put("", "%v", declared["image"])
	for _, word := range items("command") {
		put("", "%v", word)
	}
	// All else that is declared has no part in what such a container does.
	for _, key := range []string{"ports", "volumes", "entrypoints"} {
		if list := items(key); len(list) > 0 {
			t.Errorf("%s are declared, and the next version has none: %v", key, list)
		}
	}
	if declared["destroyGraceSeconds"] != declared["stopTimeout"] {
		t.Errorf("the provider gives it %v s to stop, docker %v s", declared["destroyGraceSeconds"], declared["stopTimeout"])
	}
	known := []string{
		"memory", "memoryReservation", "memorySwap", "cpuShares", "stopTimeout", "destroyGraceSeconds", "init", "logDriver", "logOpts", "healthcheck",
		"networksAdvanced", "labels", "securityOpts", "capabilities", "envs", "image", "command", "ports", "volumes",
		"name", "networkMode", "restart", "mustRun", "wait", "waitTimeout", // of the provider, or of what lasts
	}
	for _, key := range slices.Sorted(maps.Keys(declared)) {
		if !slices.Contains(known, key) {
			t.Errorf("%s is declared; does the next version need it too?", key)
		}
	}
	return flags
}
