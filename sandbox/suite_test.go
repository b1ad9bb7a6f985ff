package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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
