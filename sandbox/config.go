package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/encoding"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/pulumicli"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/internal/workload"
	"github.com/alorig/fleet/stacks"
)

// ownSecrets are made once for a machine: the volumes hold some of them too.
type ownSecrets struct {
	Passphrase string            `json:"passphrase"` // of the stack
	Salt       []byte            `json:"salt"`
	Values     map[string]string `json:"values"` // by configuration key, with its path
}

// secretKeys are the keys, with their path, of all secrets the sandbox needs.
func secretKeys() []string {
	keys := []string{"cloudflareApiToken", "postgresPassword", "redisPassword"}
	workloads := stacks.Defined()
	for _, app := range ledger.Alorig().Apps {
		for _, name := range workload.RequiredSecrets(app, workloads[app.Name]) {
			keys = append(keys, "secrets."+app.Name+"."+name)
		}
	}
	return keys
}

// secrets reads the machine's secrets and makes those that are missing. The file is written
// only then.
func (s sandbox) secrets() (ownSecrets, error) {
	own := ownSecrets{Values: map[string]string{}}
	text, err := os.ReadFile(s.file("secrets.json"))
	if err == nil {
		err = json.Unmarshal(text, &own)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return own, fmt.Errorf("reading the sandbox's secrets: %w", err)
	}
	made := false
	if own.Passphrase == "" {
		own.Passphrase, own.Salt, made = random(), []byte(random())[:8], true
	}
	for _, key := range secretKeys() {
		if own.Values[key] == "" {
			own.Values[key], made = random(), true
		}
	}
	if !made {
		return own, nil
	}
	return own, s.keep(own)
}

// keep writes the machine's secrets. The file is replaced as a whole: without it the volumes
// cannot be read any more.
func (s sandbox) keep(own ownSecrets) error {
	text, err := json.MarshalIndent(own, "", "  ")
	if err == nil {
		err = os.WriteFile(s.file("secrets.json.new"), text, 0o600)
	}
	if err == nil {
		err = os.Rename(s.file("secrets.json.new"), s.file("secrets.json"))
	}
	if err != nil {
		return fmt.Errorf("keeping the sandbox's secrets: %w", err)
	}
	return nil
}

func random() string {
	b := make([]byte, 20)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// settings are the committed ones.
func (s sandbox) settings() (settings.Settings, error) {
	config, err := settings.Open(s.root, stack)
	if err != nil {
		return settings.Settings{}, err
	}
	return stacks.Alorig().Settings(config, "")
}

// configFile is Pulumi.sandbox.yaml with the secrets, encrypted as Pulumi does it.
const configFile = "Pulumi.sandbox.yaml"

func (s sandbox) writeConfig(ctx context.Context, own ownSecrets) error {
	committed := filepath.Join(s.root, configFile)
	text, err := os.ReadFile(committed)
	if err != nil {
		return err
	}
	var file workspace.ProjectStack
	if err := encoding.YAML.Unmarshal(text, &file); err != nil {
		return fmt.Errorf("reading %s: %w", committed, err)
	}
	crypter := config.NewSymmetricCrypterFromPassphrase(own.Passphrase, own.Salt)
	proof, err := crypter.EncryptValue(ctx, "pulumi")
	if err != nil {
		return err
	}
	file.EncryptionSalt = "v1:" + base64.StdEncoding.EncodeToString(own.Salt) + ":" + proof
	if err := file.Config.Set(config.MustMakeKey(settings.Project, "caddyDirectory"), config.NewValue(s.caddy()), false); err != nil {
		return fmt.Errorf("setting Caddy's directory: %w", err)
	}
	if err := file.Config.Set(config.MustMakeKey(settings.Project, "serverDirectory"), config.NewValue(s.file("server")), false); err != nil {
		return fmt.Errorf("setting the directory of the server's program: %w", err)
	}
	for key, value := range own.Values {
		encrypted, err := crypter.EncryptValue(ctx, value)
		if err != nil {
			return err
		}
		parsed, err := config.ParseKey(settings.Project + ":" + key)
		if err != nil {
			return err
		}
		if err := file.Config.Set(parsed, config.NewSecureValue(encrypted), strings.Contains(key, ".")); err != nil {
			return fmt.Errorf("setting %s: %w", key, err)
		}
	}
	out, err := encoding.YAML.Marshal(&file)
	if err != nil {
		return err
	}
	return os.WriteFile(s.file(configFile), out, 0o600)
}

// environment is what the Pulumi CLI needs to know of the sandbox.
func (s sandbox) environment(own ownSecrets) []string {
	return []string{
		"PULUMI_BACKEND_URL=file://" + s.file("state"),
		"PULUMI_CONFIG_PASSPHRASE=" + own.Passphrase,
		"PULUMI_STACK=" + stack,
		"PULUMI_OPTION_CONFIG_FILE=" + s.file(configFile),
		"PULUMI_SKIP_UPDATE_CHECK=1",
		"SSL_CERT_FILE=" + s.file("authorities.pem"), // of the emulated API
	}
}

// writeEnvironment leaves the same for a shell.
func (s sandbox) writeEnvironment(own ownSecrets) error {
	var b strings.Builder
	for _, variable := range s.environment(own) {
		name, value, _ := strings.Cut(variable, "=")
		fmt.Fprintf(&b, "export %s='%s'\n", name, value)
	}
	return os.WriteFile(s.file("env"), []byte(b.String()), 0o600)
}

func (s sandbox) hasStack() bool {
	_, err := os.Stat(s.file("state/.pulumi/stacks/" + settings.Project + "/" + stack + ".json"))
	return err == nil
}

// command is a command line of the CLI for the sandbox's stack.
func (s sandbox) command(ctx context.Context, own ownSecrets, args ...string) (*exec.Cmd, error) {
	cli, err := pulumicli.Find(ctx, s.root, os.Stderr)
	if err != nil {
		return nil, err
	}
	return cli.Prepare(ctx, pulumicli.Command{Args: append(args, "--cwd", s.dir), Directory: s.root, Env: s.environment(own)}), nil
}

// pack is the policy pack, compiled once for all updates.
func (s sandbox) pack() string { return filepath.Join(s.dir, "policy", packCommand) }

// packCommand is the file that the Pulumi engine starts in a pack's directory: any whose
// name begins like this.
const packCommand = "pulumi-analyzer-policy-alorig"

// writeProject makes the sandbox's directory a Pulumi project: that of the repository with
// its program and its policy pack compiled, which saves each update that time.
func (s sandbox) writeProject(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(s.root, "Pulumi.yaml"))
	if err != nil {
		return err
	}
	var project workspace.Project
	if err := encoding.YAML.Unmarshal(text, &project); err != nil {
		return fmt.Errorf("reading Pulumi.yaml: %w", err)
	}
	program := s.file("program")
	project.Runtime = workspace.NewProjectRuntimeInfo("go", map[string]any{"binary": program})
	if text, err = encoding.YAML.Marshal(&project); err != nil {
		return err
	}
	if err := os.WriteFile(s.file("Pulumi.yaml"), text, 0o600); err != nil {
		return err
	}
	manifest, err := os.ReadFile(filepath.Join(s.root, "policy", "PulumiPolicy.yaml"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.pack()), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(s.pack()), "PulumiPolicy.yaml"), manifest, 0o600); err != nil {
		return err
	}
	if err := s.compile(ctx, program, "."); err != nil {
		return err
	}
	return s.compile(ctx, s.pack(), "./policy")
}

// compile compiles a command of the repository with the flags of Pulumi's language host.
func (s sandbox) compile(ctx context.Context, output, source string) error {
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-w -s", "-o", output, source)
	build.Dir = s.root
	if said, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("compiling %s: %w: %s", source, err, said)
	}
	return nil
}

// pulumi runs a command line of the CLI and shows what it says.
func (s sandbox) pulumi(ctx context.Context, own ownSecrets, args ...string) error {
	cmd, err := s.command(ctx, own, args...)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("pulumi %s: %w", args[0], err)
	}
	return nil
}
