package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"

	"github.com/alorig/fleet/internal/pinned"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/stacks"
)

func testSandbox(t *testing.T) sandbox {
	t.Helper()
	root, err := pinned.Repository("")
	if err != nil {
		t.Fatal(err)
	}
	return sandbox{root: root, dir: t.TempDir()}
}

// The committed settings are complete but for the secrets, and no rule refuses them.
func TestTheSandboxIsAccepted(t *testing.T) {
	s := testSandbox(t)
	read, err := s.settings()
	if err != nil {
		t.Fatal(err)
	}
	_, findings, err := stacks.Alorig().Check(stack, read)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.Rule != "image-pinned" {
			t.Errorf("[%s] %s", f.Rule, f)
		}
	}
	if read.CloudflareHost != apiAddress {
		t.Errorf("the settings ask %q, the emulated API listens on %q", read.CloudflareHost, apiAddress)
	}
}

func TestSecretsAreKeptAndEncrypted(t *testing.T) {
	s := testSandbox(t)
	first, err := s.secrets()
	if err != nil {
		t.Fatal(err)
	}
	long := time.Unix(1, 0)
	if err := os.Chtimes(s.file("secrets.json"), long, long); err != nil {
		t.Fatal(err)
	}
	again, err := s.secrets()
	if err != nil || again.Values["postgresPassword"] != first.Values["postgresPassword"] || again.Passphrase != first.Passphrase {
		t.Errorf("a second reading makes others (%v)", err)
	}
	// Whoever is killed while it writes could leave half a file, and the volumes need all of it.
	if now, err := os.Stat(s.file("secrets.json")); err != nil || !now.ModTime().Equal(long) {
		t.Errorf("a second reading writes the file again (%v)", err)
	}
	if err := s.writeConfig(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(s.dir, configFile))
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range first.Values {
		if strings.Contains(string(text), value) {
			t.Errorf("%s stands in plain text", key)
		}
	}
	loaded, err := workspace.LoadProjectStack(nil, &workspace.Project{Name: settings.Project}, filepath.Join(s.dir, configFile))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := loaded.Config.Decrypt(config.NewSymmetricCrypterFromPassphrase(first.Passphrase, first.Salt))
	if err != nil {
		t.Fatal(err)
	}
	var secrets map[string]map[string]string
	if err := json.Unmarshal([]byte(plain[config.MustMakeKey(settings.Project, "secrets")]), &secrets); err != nil {
		t.Fatal(err)
	}
	if got := secrets["psydge"]["DATABASE_PASSWORD"]; got == "" || got != first.Values["secrets.psydge.DATABASE_PASSWORD"] {
		t.Errorf("Psydge's database password reads %q", got)
	}
}
