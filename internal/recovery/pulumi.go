package recovery

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/alorig/fleet/internal/pinned"
)

// cli is the Pulumi CLI in the operator's own environment: it knows backend, passphrase
// and stack file.
type cli struct {
	command   auto.PulumiCommand
	directory string
	stack     string
	progress  io.Writer
}

// findCLI takes the pulumi on the PATH, or the pinned one where there is none.
func findCLI(ctx context.Context, o Options) (cli, error) {
	root := ""
	if _, err := exec.LookPath("pulumi"); err != nil {
		binary, err := pinned.Pulumi(ctx, o.Directory, o.Progress)
		if err != nil {
			return cli{}, err
		}
		root = filepath.Dir(filepath.Dir(binary))
	}
	command, err := auto.NewPulumiCommand(&auto.PulumiCommandOptions{Root: root, SkipVersionCheck: true})
	if err != nil {
		return cli{}, fmt.Errorf("the Pulumi CLI does not run: %w", err)
	}
	return cli{command: command, directory: o.Directory, stack: o.Stack, progress: o.Progress}, nil
}

// run runs the CLI. Of what it printed an error holds standard error alone: standard
// output can be a secret.
func (c cli) run(ctx context.Context, shown io.Writer, args ...string) (string, error) {
	var show []io.Writer
	if shown != nil {
		show = []io.Writer{shown}
	}
	stdout, stderr, _, err := c.command.Run(ctx, c.directory, bytes.NewReader(nil), show, show,
		[]string{"PULUMI_SKIP_UPDATE_CHECK=true"}, append(args, "--color", "never")...)
	if err != nil {
		what := "pulumi " + args[0]
		if args[0] == "stack" || args[0] == "config" {
			what += " " + args[1]
		}
		if said := strings.TrimSpace(colors.Never.Colorize(stderr)); said != "" {
			return "", fmt.Errorf("%s: %s", what, said)
		}
		return "", fmt.Errorf("%s: %w", what, err)
	}
	return stdout, nil
}

// backend returns the address of the backend that the CLI uses.
func (c cli) backend(ctx context.Context) (string, error) {
	out, err := c.run(ctx, nil, "whoami", "--json")
	if err != nil {
		return "", err
	}
	var who struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal([]byte(out), &who); err != nil || who.URL == "" {
		return "", errors.New("pulumi whoami names no backend; run `pulumi login` as the README shows")
	}
	return who.URL, nil
}

// config returns the stack's plain settings as the CLI reads them, which can be from
// another file than Pulumi.STACK.yaml. Secrets are left out and nothing is decrypted.
func (c cli) config(ctx context.Context) (map[string]string, error) {
	out, err := c.run(ctx, nil, "config", "--json", "--stack", c.stack)
	if err != nil {
		return nil, err
	}
	var values map[string]struct {
		Value  *string `json:"value"`
		Secret bool    `json:"secret"`
	}
	if err := json.Unmarshal([]byte(out), &values); err != nil {
		return nil, fmt.Errorf("pulumi config --json prints what cannot be read: %w", err)
	}
	plain := map[string]string{}
	for key, v := range values {
		if v.Value != nil && !v.Secret && *v.Value != "" {
			plain[key] = *v.Value
		}
	}
	return plain, nil
}

// secret returns one secret of the stack's settings.
func (c cli) secret(ctx context.Context, key string) (string, error) {
	value, err := c.run(ctx, nil, "config", "get", key, "--stack", c.stack)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(value, "\n"), nil
}

// state is the stack's state, of which only what is not secret is used.
type state struct{ apitype.DeploymentV3 }

// export reads the state. Its secrets stay encrypted.
func (c cli) export(ctx context.Context) (state, error) {
	out, err := c.run(ctx, nil, "stack", "export", "--stack", c.stack)
	if err != nil {
		return state{}, err
	}
	var untyped apitype.UntypedDeployment
	var s state
	err = json.Unmarshal([]byte(out), &untyped)
	if err == nil && len(untyped.Deployment) > 0 {
		err = json.Unmarshal(untyped.Deployment, &s.DeploymentV3)
	}
	if err != nil {
		return state{}, fmt.Errorf("the state of %s cannot be read: %w", c.stack, err)
	}
	if untyped.Version != 3 && untyped.Version != 4 {
		return state{}, fmt.Errorf("the state of %s has version %d; accepted: 3, 4. This program is older than the Pulumi CLI: update it", c.stack, untyped.Version)
	}
	return s, nil
}

// root returns the URN of the stack itself, which is in every state but an empty one.
func (s state) root() string {
	for _, r := range s.Resources {
		if r.Type == resource.RootStackType {
			return string(r.URN)
		}
	}
	return ""
}

// ids returns the IDs of all that the state knows.
func (s state) ids() map[string]bool {
	ids := map[string]bool{}
	for _, r := range s.Resources {
		if r.ID != "" {
			ids[string(r.ID)] = true
		}
	}
	return ids
}

// adopt takes what exists into the state.
//
// Not by `pulumi refresh --import-pending-creates`: Pulumi 3.259 turns such an operation
// into one of the kind "importing", which nothing reads, so the refresh drops it and the
// resource is in the state neither as pending nor as existing (tried; no reader of
// OperationTypeImporting in pkg). `pulumi import` leaves the pending operation, for which
// the resource may be in the state or not when the rest is done.
func (c cli) adopt(ctx context.Context, o Operation) error {
	type spec struct {
		Type        string         `json:"type"`
		Name        string         `json:"name"`
		LogicalName string         `json:"logicalName"`
		ID          string         `json:"id"`
		Parent      string         `json:"parent,omitempty"`
		Provider    string         `json:"provider,omitempty"`
		Inputs      map[string]any `json:"inputs,omitempty"`
		Outputs     map[string]any `json:"outputs,omitempty"`
	}
	file := struct {
		NameTable map[string]string `json:"nameTable"`
		Resources []spec            `json:"resources"`
	}{map[string]string{}, []spec{{Type: o.Type, Name: "adopted", LogicalName: o.Name, ID: o.Exists}}}
	if o.parent != "" {
		file.NameTable["parent"], file.Resources[0].Parent = o.parent, "parent"
	}
	if o.provider != "" {
		file.NameTable["provider"], file.Resources[0].Provider = o.provider, "provider"
	}
	if o.Type == typeRecord {
		file.Resources[0].Inputs, file.Resources[0].Outputs = o.recordState()
	}
	text, err := json.Marshal(file)
	if err != nil {
		return fmt.Errorf("adopting %s: %w", o.Name, err)
	}
	temporary, err := os.CreateTemp("", "alorig-adopt-*.json")
	if err != nil {
		return fmt.Errorf("adopting %s: %w", o.Name, err)
	}
	defer os.Remove(temporary.Name()) //nolint:errcheck // temporary, and holds no secret
	_, err = temporary.Write(text)
	if err = errors.Join(err, temporary.Close()); err != nil {
		return fmt.Errorf("adopting %s: %w", o.Name, err)
	}
	_, err = c.run(ctx, c.progress, "import", "--stack", c.stack, "--file", temporary.Name(), "--yes", "--skip-preview",
		"--generate-code=false", fmt.Sprintf("--protect=%t", o.protect), "--suppress-outputs", "--suppress-progress")
	return err
}

// settle drops the pending creates and reads what the other pending operations were at.
// Nothing else is read: a server that is half there need not answer for all of it.
func (c cli) settle(ctx context.Context, urns []string) error {
	args := []string{"refresh", "--stack", c.stack, "--yes", "--skip-preview", "--clear-pending-creates", "--suppress-outputs", "--suppress-progress"}
	for _, urn := range urns {
		args = append(args, "--target", urn)
	}
	_, err := c.run(ctx, c.progress, args...)
	return err
}
