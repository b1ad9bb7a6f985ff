package pulumicli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// Stack is a stack of the project in a directory, as the CLI knows it in the operator's own
// environment: backend, passphrase and stack file.
type Stack struct {
	CLI       CLI
	Directory string // where Pulumi.yaml is
	Name      string
}

// Run runs the CLI on the stack and returns its standard output. What it prints is shown as
// in [Command].
func (s Stack) Run(ctx context.Context, show io.Writer, args ...string) (string, error) {
	return s.CLI.Run(ctx, Command{Args: append(args, "--stack", s.Name), Directory: s.Directory, Show: show})
}

// Backend returns the address of the backend that the CLI uses. It may hold credentials.
func (s Stack) Backend(ctx context.Context) (string, error) {
	out, err := s.CLI.Run(ctx, Command{Args: []string{"whoami", "--json"}, Directory: s.Directory})
	if err != nil {
		return "", err
	}
	var who struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal([]byte(out), &who); err != nil || who.URL == "" {
		return "", errors.New("pulumi whoami names no backend; run `pulumi login` as docs/install.md shows")
	}
	return who.URL, nil
}

// Secret decrypts one setting of the stack. The key has its namespace.
func (s Stack) Secret(ctx context.Context, key string) (string, error) {
	value, err := s.Run(ctx, nil, "config", "get", key)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(value, "\n"), nil
}

// Export reads the stack's state. Its secrets stay encrypted.
func (s Stack) Export(ctx context.Context) (apitype.DeploymentV3, error) {
	var state apitype.DeploymentV3
	out, err := s.Run(ctx, nil, "stack", "export")
	if err != nil {
		return state, err
	}
	var untyped apitype.UntypedDeployment
	err = json.Unmarshal([]byte(out), &untyped)
	if err == nil && len(untyped.Deployment) > 0 {
		err = json.Unmarshal(untyped.Deployment, &state)
	}
	if err != nil {
		return state, fmt.Errorf("the state of %s cannot be read: %w", s.Name, err)
	}
	if untyped.Version != 3 && untyped.Version != 4 {
		return state, fmt.Errorf("the state of %s has version %d; accepted: 3, 4. This program is older than the Pulumi CLI: update it", s.Name, untyped.Version)
	}
	return state, nil
}
