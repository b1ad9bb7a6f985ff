// Package engine previews a program on the real Pulumi engine without an account, a
// credential, a plugin or a network: a stand-in answers for every provider, the state
// is empty and temporary, and the policy pack is the one of this binary.
package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/encoding"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/pinned"
)

// PackCommand is the name under which the running binary acts as the policy pack. The
// engine starts a pack as an executable with the engine's address as its argument.
const PackCommand = "pulumi-analyzer-policy-alorig"

// oldest is the oldest CLI whose engine runs stack rules of Go packs.
var oldest = semver.MustParse("3.258.0")

// packages are the providers that the stand-in answers for.
var packages = []string{"cloudflare", "command", "docker", "postgresql"}

// Preview is one preview to run.
type Preview struct {
	Directory string            // where Pulumi.yaml and policy/ are
	Stack     string            // its name; nothing of it is read here
	Config    map[string]string // plain configuration, keys with their namespace
	Program   pulumi.RunFunc
	WithPack  bool // judge with the policy pack
	BuildCLI  bool // use the pinned CLI even where another is on the PATH
	Color     bool

	Output   io.Writer // what the engine prints; nil discards it
	Progress io.Writer // what takes long before it
}

// Result is what the engine said.
type Result struct {
	Changes  map[string]int `json:"changes"` // resources by operation
	Findings []Finding      `json:"findings"`
	Errors   []string       `json:"errors,omitempty"` // of the program or the engine
}

// Finding is what a rule of the pack said.
type Finding struct {
	Rule    string `json:"rule"`
	Level   string `json:"level"` // "mandatory" or "advisory"
	Message string `json:"message"`
	URN     string `json:"urn,omitempty"`
}

// Refused reports whether a mandatory rule refuses the fleet.
func (r Result) Refused() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Level == string(apitype.Mandatory) })
}

// Run previews. A refusal is a result, not an error; an error means that there is no
// verdict. A program that failed is an error too, told with the engine's own words.
func (p Preview) Run(ctx context.Context) (Result, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	command, err := cli(ctx, p.BuildCLI, p.Progress)
	if err != nil {
		return Result{}, err
	}
	room, err := os.MkdirTemp("", "alorig-preview-")
	if err != nil {
		return Result{}, fmt.Errorf("making room for the preview: %w", err)
	}
	defer os.RemoveAll(room) //nolint:errcheck // temporary, and holds no secret
	work, pack, err := p.furnish(room)
	if err != nil {
		return Result{}, err
	}
	port, err := serveEcho(ctx)
	if err != nil {
		return Result{}, err
	}
	var attach []string
	for _, name := range packages {
		attach = append(attach, name+":"+strconv.Itoa(port))
	}
	stack, err := auto.NewStackInlineSource(ctx, p.Stack, "", p.Program, auto.Pulumi(command), auto.WorkDir(work),
		auto.PulumiHome(filepath.Join(room, "home")),
		auto.EnvVars(map[string]string{
			"PULUMI_BACKEND_URL":                            "file://" + filepath.Join(room, "state"),
			"PULUMI_CONFIG_PASSPHRASE":                      "offline", // the stack holds no secret and is gone in a moment
			"PULUMI_DEBUG_PROVIDERS":                        strings.Join(attach, ","),
			"PULUMI_SKIP_UPDATE_CHECK":                      "true",
			"PULUMI_AUTOMATION_API_SKIP_VERSION_CHECK":      "true",
			"PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
			// Of the caller's, these would reach another backend or passphrase.
			"PULUMI_ACCESS_TOKEN": "", "PULUMI_CONFIG_PASSPHRASE_FILE": "", "PULUMI_OPTION_POLICY_PACK": "",
		}))
	if err != nil {
		return Result{}, fmt.Errorf("preparing an empty stack: %w", err)
	}
	return p.run(ctx, stack, pack)
}

func (p Preview) run(ctx context.Context, stack auto.Stack, pack string) (Result, error) {
	var seen collector
	stream := make(chan events.EngineEvent)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for event := range stream {
			seen.add(event)
		}
	}()
	var said bytes.Buffer
	output := &oneAtATime{w: &said}
	if p.Output != nil {
		output.w = io.MultiWriter(p.Output, &said)
	}
	options := []optpreview.Option{
		optpreview.EventStreams(stream), optpreview.Color(map[bool]string{true: "always", false: "never"}[p.Color]),
		optpreview.ProgressStreams(output), optpreview.ErrorProgressStreams(output),
	}
	if p.WithPack {
		options = append(options, optpreview.PolicyPacks(pack))
	}
	_, err := stack.Preview(ctx, options...)
	select {
	case <-ended:
	case <-time.After(eventGrace): // an engine that stops early never opens the stream
	}
	if ctx.Err() != nil {
		return Result{}, fmt.Errorf("the preview was interrupted: %w", ctx.Err())
	}
	result := seen.result()
	switch {
	case err == nil, result.Refused(): // a refusal also fails the program, which says little
		return result, nil
	case len(result.Errors) > 0:
		return result, errors.New(strings.Join(result.Errors, "\n"))
	case p.Output != nil: // the engine's words have been shown
		return result, errors.New("the engine gave no verdict")
	default:
		return result, fmt.Errorf("the engine gave no verdict: %s", plain(said.String()))
	}
}

// oneAtATime takes what the engine prints on standard output and on standard error,
// which two goroutines copy.
type oneAtATime struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *oneAtATime) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}

// eventGrace is how long events may trail behind the engine's exit.
const eventGrace = 2 * time.Second

// furnish lays out a project directory with the stack's plain configuration, a state
// directory, and a pack that is this very binary.
func (p Preview) furnish(room string) (work, pack string, err error) {
	work = filepath.Join(room, "project")
	packDirectory := filepath.Join(room, "policy")
	for _, dir := range []string{work, packDirectory, filepath.Join(room, "home"), filepath.Join(room, "state")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", "", fmt.Errorf("making room for the preview: %w", err)
		}
	}
	stackFile := workspace.ProjectStack{Config: config.Map{}}
	for key, value := range p.Config {
		parsed, err := config.ParseKey(key)
		if err != nil {
			return "", "", fmt.Errorf("configuration key %q: %w", key, err)
		}
		if strings.HasPrefix(value, "{") || strings.HasPrefix(value, "[") {
			stackFile.Config[parsed] = config.NewObjectValue(value)
		} else {
			stackFile.Config[parsed] = config.NewValue(value)
		}
	}
	text, err := encoding.YAML.Marshal(stackFile)
	if err != nil {
		return "", "", fmt.Errorf("writing the preview's settings: %w", err)
	}
	if err := os.WriteFile(filepath.Join(work, "Pulumi."+p.Stack+".yaml"), text, 0o600); err != nil {
		return "", "", fmt.Errorf("writing the preview's settings: %w", err)
	}
	for from, to := range map[string]string{
		filepath.Join(p.Directory, "Pulumi.yaml"):                 filepath.Join(work, "Pulumi.yaml"),
		filepath.Join(p.Directory, "policy", "PulumiPolicy.yaml"): filepath.Join(packDirectory, "PulumiPolicy.yaml"),
	} {
		text, err := os.ReadFile(from)
		if err != nil {
			return "", "", fmt.Errorf("reading the project: %w; run this in the project's directory", err)
		}
		if err := os.WriteFile(to, text, 0o600); err != nil {
			return "", "", fmt.Errorf("making room for the preview: %w", err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return "", "", fmt.Errorf("finding this program's own file: %w", err)
	}
	pack = filepath.Join(packDirectory, PackCommand)
	if err := os.Symlink(self, pack); err != nil {
		return "", "", fmt.Errorf("making room for the preview: %w", err)
	}
	return work, pack, nil
}

// cli returns the Pulumi CLI: the one on the PATH, or the pinned one where there is none.
func cli(ctx context.Context, build bool, progress io.Writer) (auto.PulumiCommand, error) {
	root := ""
	if _, err := exec.LookPath("pulumi"); build || err != nil {
		binary, err := pinned.Pulumi(ctx, "", progress)
		if err != nil {
			return nil, err
		}
		root = filepath.Dir(filepath.Dir(binary))
	}
	command, err := auto.NewPulumiCommand(&auto.PulumiCommandOptions{Root: root, SkipVersionCheck: true})
	if err != nil {
		return nil, fmt.Errorf("the Pulumi CLI does not run: %w", err)
	}
	if v := command.Version(); v.LT(oldest) {
		return nil, fmt.Errorf("the Pulumi CLI on the PATH is version %s; %s or newer is needed for Go policy packs: update it, or use the pinned %s with --build-cli",
			v, oldest, pinned.PulumiVersion)
	}
	return command, nil
}

// collector gathers the engine's events.
type collector struct {
	mu       sync.Mutex
	gathered Result
}

func (c *collector) add(event events.EngineEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case event.PolicyEvent != nil:
		e := event.PolicyEvent
		f := Finding{Rule: e.PolicyName, Level: e.EnforcementLevel, Message: plain(e.Message), URN: e.ResourceURN}
		if f.Level == "warning" {
			f.Level = string(apitype.Advisory)
		}
		c.gathered.Findings = append(c.gathered.Findings, f)
	case event.SummaryEvent != nil:
		c.gathered.Changes = map[string]int{}
		for operation, n := range event.SummaryEvent.ResourceChanges {
			c.gathered.Changes[string(operation)] = n
		}
	case event.DiagnosticEvent != nil && event.DiagnosticEvent.Severity == "error":
		if message := plain(event.DiagnosticEvent.Message); message != "" {
			c.gathered.Errors = append(c.gathered.Errors, message)
		}
	}
}

// result returns what was gathered: findings sorted and once each.
func (c *collector) result() Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.gathered
	r.Findings = slices.Clone(r.Findings)
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.URN, b.URN), cmp.Compare(a.Message, b.Message))
	})
	r.Findings = slices.Compact(r.Findings)
	return r
}

// plain takes the engine's colour marks out of a message.
func plain(message string) string { return strings.TrimSpace(colors.Never.Colorize(message)) }
