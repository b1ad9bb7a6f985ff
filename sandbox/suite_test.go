package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/shirou/gopsutil/v4/process"
)

// An empty directory is what an installation that was cut short leaves, and a plugin to
// `pulumi plugin ls`.
func TestAPluginIsItsProgram(t *testing.T) {
	home := t.TempDir()
	t.Setenv("PULUMI_HOME", home)
	s := &suite{sandbox: testSandbox(t)}
	all := s.missingPlugins(t)
	if len(all) < 4 {
		t.Fatalf("without any plugin only %v are missing", all)
	}
	name, version, _ := strings.Cut(all[0], " ")
	directory := filepath.Join(home, "plugins", "resource-"+name+"-"+version)
	if err := os.MkdirAll(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	if missing := s.missingPlugins(t); !slices.Contains(missing, all[0]) {
		t.Errorf("an empty directory is taken for %s", all[0])
	}
	if err := os.WriteFile(filepath.Join(directory, "pulumi-resource-"+name), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if missing := s.missingPlugins(t); slices.Contains(missing, all[0]) {
		t.Errorf("%s is there and is missed", all[0])
	}
}

func TestPartsRunInTheirOwnOrder(t *testing.T) {
	t.Parallel()
	var names []string
	for _, p := range choose(t, parts, "handover,existing") {
		names = append(names, p.name)
	}
	if !slices.Equal(names, []string{"existing", "handover"}) || len(choose(t, parts, "")) != len(parts) {
		t.Errorf("chosen are %v", names)
	}
}

// A number that was kept may be that of another process, which must not be ended.
func TestOnlyTheEmulatedAPIIsEnded(t *testing.T) {
	t.Parallel()
	s := testSandbox(t)
	// stopped lets the sandbox stop what runs under the number that it kept.
	stopped := func(name string, args ...string) *exec.Cmd {
		t.Helper()
		running := exec.CommandContext(t.Context(), name, args...)
		if err := running.Start(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.file("api.pid"), []byte(strconv.Itoa(running.Process.Pid)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.stopCloudflare(); err != nil {
			t.Error(err)
		}
		return running
	}

	other := stopped("sleep", "60")
	if state, err := process.NewProcess(int32(other.Process.Pid)); err != nil {
		t.Error("another process was ended")
	} else if status, err := state.Status(); err != nil || slices.Contains(status, process.Zombie) {
		t.Errorf("another process was ended: %v, %v", status, err)
	}

	api := stopped("sh", "-c", "sleep 5; :", "sandbox", "serve")
	if err := api.Wait(); err == nil {
		t.Error("the emulated API ended by itself")
	}
}

// What an operator has on this machine is no concern of the sandbox: all that it deletes
// lies in its own directory.
func TestTheSandboxKeepsCaddysFilesToItself(t *testing.T) {
	t.Parallel()
	s := testSandbox(t)
	own, err := s.secrets()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.writeConfig(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(s.file(configFile))
	if err != nil || !strings.Contains(string(text), "caddyDirectory: "+s.dir+"/") {
		t.Errorf("the settings put Caddy's files elsewhere (%v)", err)
	}
}
