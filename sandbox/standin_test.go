package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"
	"github.com/jackc/pgx/v5"
	"github.com/pulumi/pulumi/sdk/v3/go/common/encoding"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/cloudflaretest"
	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/pinned"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/stacks"
)

// standIn is the Pulumi CLI with its providers, as far as the suite needs them, for
// machines that lack the providers. The binary of the tests is it, where it is called
// pulumi. It runs the real program and does what that registers, in the order in which the
// SDK lets it, on the real engine and servers; it keeps a state, a lock and the operations
// under way, so that it can be killed and recovered from as the CLI can.
//
// What it leaves out: updates of a container in place, deletes of what is no longer
// declared, reads of what has changed outside, and the policy pack (the program guards itself).
type standIn struct {
	stack, backend, settings string // name; directory; file
	engine                   *client.Client
	preview                  bool

	mu       sync.Mutex
	state    standInState
	provider map[string]map[string]any // inputs of the providers, by name
	changes  []string                  // names of what a preview would change
	problems []error
}

// standInState is the form of an exported state, without what is secret: of the inputs only
// a fingerprint is kept.
type standInState struct {
	Resources []standInResource  `json:"resources"`
	Pending   []standInOperation `json:"pending_operations"`
}

type standInResource struct {
	URN     string         `json:"urn"`
	Custom  bool           `json:"custom"`
	ID      string         `json:"id,omitempty"`
	Type    string         `json:"type"`
	Inputs  map[string]any `json:"inputs"`  // its fingerprint
	Outputs map[string]any `json:"outputs"` // what a command has printed
}

type standInOperation struct {
	Resource standInResource `json:"resource"`
	Type     string          `json:"type"`
}

// runStandIn is the command line. What it does not know is an error.
func runStandIn(args []string) error {
	p, err := openStandIn()
	if err != nil {
		return err
	}
	words := append(withoutOptions(args), "")
	switch words[0] {
	case "version":
		fmt.Println("v" + pinned.PulumiVersion)
		return nil
	case "whoami":
		return json.NewEncoder(os.Stdout).Encode(map[string]string{"user": "suite", "url": "file://" + p.backend})
	case "config":
		return p.config(words[1 : len(words)-1])
	case "stack":
		switch words[1] {
		case "init":
			return p.save()
		case "export":
			return json.NewEncoder(os.Stdout).Encode(map[string]any{"version": 3, "deployment": p.state})
		}
	case "refresh":
		return p.refresh()
	case "preview":
		p.preview = true
		if err := p.run(); err != nil {
			return err
		}
		if len(p.changes) > 0 {
			return fmt.Errorf("%d changes: %s", len(p.changes), strings.Join(p.changes, ", "))
		}
		return nil
	case "up":
		unlock, err := p.lock()
		if err != nil {
			return err
		}
		return errors.Join(p.run(), unlock())
	}
	return fmt.Errorf("the stand-in does not know %q", args)
}

func openStandIn() (*standIn, error) {
	p := &standIn{
		provider: map[string]map[string]any{},
		stack:    os.Getenv("PULUMI_STACK"), backend: strings.TrimPrefix(os.Getenv("PULUMI_BACKEND_URL"), "file://"),
		settings: os.Getenv("PULUMI_OPTION_CONFIG_FILE"),
	}
	var err error
	if p.engine, err = client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation()); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(p.stateFile())
	if errors.Is(err, os.ErrNotExist) {
		p.state.Resources = []standInResource{{
			URN: p.urn("pulumi:pulumi:Stack", settings.Project+"-"+p.stack), Type: "pulumi:pulumi:Stack",
		}}
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &p.state)
	}
	return p, err
}

func (p *standIn) stateFile() string {
	return filepath.Join(p.backend, ".pulumi", "stacks", settings.Project, p.stack+".json")
}

func (p *standIn) urn(token, name string) string {
	return fmt.Sprintf("urn:pulumi:%s::%s::%s::%s", p.stack, settings.Project, token, name)
}

// save keeps the state whole, whenever the process is killed.
func (p *standIn) save() error {
	text, err := json.Marshal(p.state)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(p.stateFile()), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(p.stateFile()+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(p.stateFile()+".new", p.stateFile())
}

// lock takes the stack's lock where the CLI keeps it.
func (p *standIn) lock() (unlock func() error, err error) {
	directory := filepath.Join(p.backend, ".pulumi", "locks", "organization", settings.Project, p.stack)
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, err
	}
	if present, err := os.ReadDir(directory); err != nil || len(present) > 0 {
		return nil, fmt.Errorf("the stack is currently locked by %v (%w)", present, err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(map[string]any{"pid": os.Getpid(), "username": "suite", "hostname": host, "timestamp": time.Now()})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(directory, strconv.Itoa(os.Getpid())+".json")
	return func() error { return os.Remove(file) }, os.WriteFile(file, text, 0o600)
}

// config shows and sets values of the settings.
func (p *standIn) config(words []string) error {
	file, plain, secret, err := p.readSettings()
	if err != nil {
		return err
	}
	switch {
	case len(words) == 3 && words[0] == "set":
		key, err := config.ParseKey(words[1])
		if err != nil {
			return err
		}
		if err := file.Config.Set(key, config.NewValue(words[2]), true); err != nil {
			return err
		}
		text, err := encoding.YAML.Marshal(file)
		if err != nil {
			return err
		}
		return os.WriteFile(p.settings, text, 0o600)
	case len(words) == 2 && words[0] == "get":
		fmt.Println(plain[words[1]])
		return nil
	case len(words) == 0:
		values := map[string]map[string]any{}
		for key, value := range plain {
			values[key] = map[string]any{"secret": slices.Contains(secret, key)}
			if !slices.Contains(secret, key) {
				values[key]["value"] = value
			}
		}
		return json.NewEncoder(os.Stdout).Encode(values)
	}
	return fmt.Errorf("the stand-in does not know config %q", words)
}

// withoutOptions are the words of a command line that are no option and no option's value.
func withoutOptions(args []string) []string {
	var words []string
	for i := 0; i < len(args); i++ {
		switch {
		case slices.Contains([]string{"--cwd", "--stack", "--color", "--policy-pack", "--target"}, args[i]):
			i++
		case !strings.HasPrefix(args[i], "-"):
			words = append(words, args[i])
		}
	}
	return words
}

// readSettings decrypts the stack's settings.
func (p *standIn) readSettings() (file workspace.ProjectStack, plain map[string]string, secret []string, err error) {
	text, err := os.ReadFile(p.settings)
	if err != nil {
		return file, nil, nil, err
	}
	if err := encoding.YAML.Unmarshal(text, &file); err != nil {
		return file, nil, nil, err
	}
	own, err := sandbox{dir: filepath.Dir(p.settings)}.secrets()
	if err != nil {
		return file, nil, nil, err
	}
	decrypted, err := file.Config.Decrypt(config.NewSymmetricCrypterFromPassphrase(own.Passphrase, own.Salt))
	if err != nil {
		return file, nil, nil, err
	}
	plain = map[string]string{}
	for key, value := range decrypted {
		plain[key.String()] = value
	}
	for _, key := range file.Config.SecureKeys() {
		secret = append(secret, key.String())
	}
	return file, plain, secret, nil
}

// refresh forgets what was under way, and the containers that are not there any more.
func (p *standIn) refresh() error {
	p.state.Pending = nil
	p.state.Resources = slices.DeleteFunc(p.state.Resources, func(r standInResource) bool {
		if r.Type != declared.TypeContainer {
			return false
		}
		_, err := p.engine.ContainerInspect(context.Background(), r.ID)
		return cerrdefs.IsNotFound(err)
	})
	return p.save()
}

// run runs the program.
func (p *standIn) run() error {
	_, plain, secret, err := p.readSettings()
	if err != nil {
		return err
	}
	err = pulumi.RunErr(stacks.Program, pulumi.WithMocks(settings.Project, p.stack, p), func(info *pulumi.RunInfo) {
		info.Config, info.ConfigSecretKeys, info.DryRun = plain, secret, p.preview
	})
	return errors.Join(append(p.problems, err)...)
}

// Call answers what the Pulumi engine answers about the state. It has no function of a
// provider: a managed platform asks for none.
func (p *standIn) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	if args.Token != "pulumi:pulumi:readStackResourceOutputs" {
		return nil, fmt.Errorf("the stand-in has no function %s", args.Token)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	outputs := map[string]any{}
	for _, r := range p.state.Resources {
		of := map[string]any{}
		maps.Copy(of, r.Outputs)
		outputs[r.URN] = map[string]any{"type": r.Type, "outputs": of}
	}
	return resource.NewPropertyMapFromMap(map[string]any{"outputs": outputs}), nil
}

// NewResource does what a registration asks for, unless the state has it already. The SDK
// calls it once all that the resource depends on is there.
func (p *standIn) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	plain, err := plugin.UnmarshalProperties(args.RegisterRPC.GetObject(), plugin.MarshalOptions{KeepUnknowns: true})
	if err != nil {
		return "", nil, err
	}
	inputs := plain.Mappable()
	text, err := json.Marshal(inputs)
	if err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256(text)
	want := standInResource{
		URN: p.urn(args.TypeToken, args.Name), Custom: args.Custom, Type: args.TypeToken,
		Inputs: map[string]any{"fingerprint": hex.EncodeToString(sum[:])},
	}
	if name, ok := strings.CutPrefix(args.TypeToken, "pulumi:providers:"); ok {
		p.mu.Lock()
		p.provider[name] = inputs
		p.mu.Unlock()
		return "", plain, nil
	}
	if !args.Custom {
		return "", plain, nil
	}
	old, failed := p.find(want.URN)
	if old != nil && old.Inputs["fingerprint"] == want.Inputs["fingerprint"] {
		return old.ID, outputsOf(plain, old.Outputs), nil
	}
	if failed {
		return "", nil, errors.New("not done, since the update has failed")
	}
	if p.preview {
		p.mu.Lock()
		p.changes = append(p.changes, args.Name)
		p.mu.Unlock()
		return "", plain, nil
	}
	if err := p.change(&want, old, text); err != nil {
		err = fmt.Errorf("%s: %w", args.Name, err)
		p.mu.Lock()
		p.problems = append(p.problems, err)
		p.mu.Unlock()
		return "", nil, err
	}
	return want.ID, outputsOf(plain, want.Outputs), nil
}

func outputsOf(inputs resource.PropertyMap, more map[string]any) resource.PropertyMap {
	outputs := inputs.Copy()
	for key, value := range more {
		outputs[resource.PropertyKey(key)] = resource.NewPropertyValue(value)
	}
	return outputs
}

// find returns what the state has, and whether something has failed.
func (p *standIn) find(urn string) (old *standInResource, failed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.state.Resources, func(r standInResource) bool { return r.URN == urn })
	if i >= 0 {
		found := p.state.Resources[i]
		old = &found
	}
	return old, len(p.problems) > 0
}

// change makes a resource, or makes it anew, and keeps what is under way in the state.
func (p *standIn) change(want, old *standInResource, inputs []byte) error {
	ctx := context.Background()
	if old != nil && old.Type == declared.TypeContainer {
		if err := p.during("deleting", *old, func() error { return p.removeContainer(ctx, old.ID) }); err != nil {
			return err
		}
		p.mu.Lock()
		p.state.Resources = slices.DeleteFunc(p.state.Resources, func(r standInResource) bool { return r.URN == old.URN })
		p.mu.Unlock()
		old = nil
	}
	kind := "creating"
	if old != nil {
		kind = "updating"
	}
	return p.during(kind, *want, func() (err error) {
		switch want.Type {
		case declared.TypeContainer:
			want.ID, err = p.makeContainer(ctx, inputs)
			var in containerInputs
			_ = read(inputs, &in) // makeContainer has read them
			want.Outputs = map[string]any{"id": want.ID, "name": in.Name}
		case declared.TypeLocalCommand:
			if want.Outputs, err = runCommand(inputs); err == nil {
				want.ID = want.URN
			}
		case declared.TypeRemoteImage:
			want.ID, err = p.findImage(ctx, inputs)
		case "docker:index/network:Network":
			want.ID, err = p.makeNetwork(ctx, inputs)
		case "docker:index/volume:Volume":
			want.ID, err = p.makeVolume(ctx, inputs)
		case declared.TypeRecord:
			want.ID, err = p.makeRecord(inputs)
		default:
			if err = p.changeDatabase(ctx, want.Type, inputs); err == nil {
				want.ID = want.URN
			}
		}
		if err != nil && want.ID == "" {
			return err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.state.Resources = append(slices.DeleteFunc(p.state.Resources, func(r standInResource) bool { return r.URN == want.URN }), *want)
		return err
	})
}

// during keeps an operation in the state for as long as it is under way.
func (p *standIn) during(kind string, r standInResource, do func() error) error {
	p.mu.Lock()
	p.state.Pending = append(p.state.Pending, standInOperation{Resource: r, Type: kind})
	err := p.save()
	p.mu.Unlock()
	if err != nil {
		return err
	}
	err = do()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.Pending = slices.DeleteFunc(p.state.Pending, func(o standInOperation) bool { return o.Resource.URN == r.URN })
	return errors.Join(err, p.save())
}

// read fills a struct from the inputs, of which it must know every one: what the stand-in
// would leave out nobody would have tried.
func read(inputs []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(inputs))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("the stand-in for the provider must learn it: %w", err)
	}
	return nil
}

// runCommand runs a script as the command provider does on this machine.
func runCommand(inputs []byte) (map[string]any, error) {
	var in struct {
		Create, Update, Delete, Stdin, Logging string
		Environment                            map[string]string
		Triggers                               []any
		AddPreviousOutputInEnv                 bool
	}
	if err := read(inputs, &in); err != nil {
		return nil, err
	}
	cmd := exec.Command("/bin/sh", "-c", in.Create)
	cmd.Stdin = strings.NewReader(in.Stdin)
	cmd.Env = os.Environ()
	for name, value := range in.Environment {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.String())
	}
	return map[string]any{"stdout": strings.TrimSuffix(stdout.String(), "\n")}, nil
}

// containerInputs are what the program says of a container.
type containerInputs struct {
	Name, Image, NetworkMode, Restart, LogDriver   string
	Command, Entrypoints, Envs, SecurityOpts       []string
	Memory, MemoryReservation, MemorySwap, ShmSize int64 // MiB
	CPUShares                                      int64
	DestroyGraceSeconds, StopTimeout, WaitTimeout  int
	Init, MustRun, Wait                            bool
	LogOpts                                        map[string]string
	Labels                                         []labelInputs
	NetworksAdvanced                               []struct{ Name, IPV4Address string }
	Capabilities                                   struct{ Adds, Drops []string }
	Ports                                          []struct{ Internal, External int }
	Volumes                                        []struct {
		VolumeName, HostPath, ContainerPath string
		ReadOnly                            bool
	}
	Healthcheck struct {
		Tests                                         []string
		Interval, Timeout, StartPeriod, StartInterval string
		Retries                                       int
	}
}

type labelInputs struct{ Label, Value string }

func labelMap(labels []labelInputs) map[string]string {
	all := map[string]string{}
	for _, l := range labels {
		all[l.Label] = l.Value
	}
	return all
}

func (p *standIn) makeContainer(ctx context.Context, inputs []byte) (string, error) {
	var in containerInputs
	if err := read(inputs, &in); err != nil {
		return "", err
	}
	health := &container.HealthConfig{Test: in.Healthcheck.Tests, Retries: in.Healthcheck.Retries}
	for _, d := range []struct {
		text string
		into *time.Duration
	}{
		{in.Healthcheck.Interval, &health.Interval},
		{in.Healthcheck.Timeout, &health.Timeout},
		{in.Healthcheck.StartPeriod, &health.StartPeriod},
		{cmp.Or(in.Healthcheck.StartInterval, "0s"), &health.StartInterval},
	} {
		var err error
		if *d.into, err = time.ParseDuration(d.text); err != nil {
			return "", err
		}
	}
	ports, exposed := nat.PortMap{}, nat.PortSet{}
	for _, port := range in.Ports {
		inside := nat.Port(strconv.Itoa(port.Internal) + "/tcp")
		exposed[inside] = struct{}{}
		ports[inside] = []nat.PortBinding{{HostIP: "0.0.0.0", HostPort: strconv.Itoa(port.External)}}
	}
	var binds []string
	for _, v := range in.Volumes {
		bind := v.VolumeName + v.HostPath + ":" + v.ContainerPath
		if v.ReadOnly {
			bind += ":ro"
		}
		binds = append(binds, bind)
	}
	networks := map[string]*network.EndpointSettings{}
	for _, n := range in.NetworksAdvanced {
		networks[n.Name] = &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: n.IPV4Address}}
	}
	const mebibyte = 1 << 20
	made, err := p.engine.ContainerCreate(ctx, &container.Config{
		Image: in.Image, Cmd: in.Command, Entrypoint: in.Entrypoints, Env: in.Envs, Labels: labelMap(in.Labels),
		Healthcheck: health, StopTimeout: &in.StopTimeout, ExposedPorts: exposed,
	}, &container.HostConfig{
		NetworkMode: container.NetworkMode(in.NetworksAdvanced[0].Name), Binds: binds, PortBindings: ports,
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyMode(in.Restart)},
		LogConfig:     container.LogConfig{Type: in.LogDriver, Config: in.LogOpts},
		ShmSize:       in.ShmSize * mebibyte,
		Init:          &in.Init, SecurityOpt: in.SecurityOpts, CapAdd: in.Capabilities.Adds, CapDrop: in.Capabilities.Drops,
		Resources: container.Resources{
			Memory: in.Memory * mebibyte, MemoryReservation: in.MemoryReservation * mebibyte, MemorySwap: in.MemorySwap * mebibyte, CPUShares: in.CPUShares,
		},
	}, &network.NetworkingConfig{EndpointsConfig: networks}, nil, in.Name)
	if err != nil {
		return "", err
	}
	if err := p.engine.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		return "", err
	}
	for deadline := time.Now().Add(time.Duration(in.WaitTimeout) * time.Second); in.Wait; time.Sleep(250 * time.Millisecond) {
		found, err := p.engine.ContainerInspect(ctx, made.ID)
		if err != nil {
			return "", err
		}
		if now := found.State.Health.Status; now == container.Healthy {
			break
		} else if !found.State.Running || now == container.Unhealthy || time.Now().After(deadline) {
			// The provider too keeps one in the state that does not get healthy.
			return made.ID, fmt.Errorf("%s did not become healthy: %s/%s", in.Name, found.State.Status, now)
		}
	}
	return made.ID, nil
}

// removeContainer stops a container within its own time and removes it.
func (p *standIn) removeContainer(ctx context.Context, id string) error {
	if err := p.engine.ContainerStop(ctx, id, container.StopOptions{}); err != nil && !cerrdefs.IsNotFound(err) {
		return err
	}
	if err := p.engine.ContainerRemove(ctx, id, container.RemoveOptions{Force: true}); err != nil && !cerrdefs.IsNotFound(err) {
		return err
	}
	return nil
}

func (p *standIn) findImage(ctx context.Context, inputs []byte) (string, error) {
	var in struct {
		Name        string
		KeepLocally bool
	}
	if err := read(inputs, &in); err != nil {
		return "", err
	}
	found, err := p.engine.ImageInspect(ctx, in.Name)
	return found.ID, err
}

func (p *standIn) makeNetwork(ctx context.Context, inputs []byte) (string, error) {
	var in struct {
		Name, Driver string
		IpamConfigs  []struct{ Subnet, IPRange, Gateway string }
		Labels       []labelInputs
	}
	if err := read(inputs, &in); err != nil {
		return "", err
	}
	ipam := &network.IPAM{}
	for _, c := range in.IpamConfigs {
		ipam.Config = append(ipam.Config, network.IPAMConfig{Subnet: c.Subnet, IPRange: c.IPRange, Gateway: c.Gateway})
	}
	made, err := p.engine.NetworkCreate(ctx, in.Name, network.CreateOptions{Driver: in.Driver, IPAM: ipam, Labels: labelMap(in.Labels)})
	return made.ID, err
}

func (p *standIn) makeVolume(ctx context.Context, inputs []byte) (string, error) {
	var in struct {
		Name   string
		Labels []labelInputs
	}
	if err := read(inputs, &in); err != nil {
		return "", err
	}
	made, err := p.engine.VolumeCreate(ctx, volume.CreateOptions{Name: in.Name, Labels: labelMap(in.Labels)})
	return made.Name, err
}

// makeRecord asks the emulated Cloudflare API for a record.
func (p *standIn) makeRecord(inputs []byte) (string, error) {
	var in struct {
		ZoneID                       string `json:"zoneId"`
		Name, Type, Content, Comment string
		Proxied                      bool
		TTL                          int
	}
	if err := read(inputs, &in); err != nil {
		return "", err
	}
	p.mu.Lock()
	account := p.provider["cloudflare"]
	p.mu.Unlock()
	body, err := json.Marshal(cloudflaretest.Record{Name: in.Name, Type: in.Type, Content: in.Content, Comment: in.Comment, Proxied: in.Proxied, TTL: in.TTL})
	if err != nil {
		return "", err
	}
	request, err := http.NewRequest(http.MethodPost, fmt.Sprintf("https://%v/client/v4/zones/%s/dns_records", account["apiHostname"], in.ZoneID), bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", fmt.Sprint("Bearer ", account["apiToken"]))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var answer struct{ Result cloudflaretest.Record }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Result.ID == "" {
		return "", fmt.Errorf("the record %s was refused: %s, %w", in.Name, response.Status, err)
	}
	return answer.Result.ID, nil
}

// changeDatabase does what the PostgreSQL provider does.
func (p *standIn) changeDatabase(ctx context.Context, kind string, inputs []byte) error {
	var in struct {
		Name, Password, Owner, Encoding, Database, Role, ObjectType, AssumeRole string
		Login                                                                   bool
		ConnectionLimit                                                         int
		Privileges, Roles                                                       []string
	}
	if err := read(inputs, &in); err != nil {
		return err
	}
	name, database := pgx.Identifier{in.Name}.Sanitize(), "postgres"
	var unless string // this is so
	var statements []string
	switch kind {
	case declared.TypeRole:
		unless = "SELECT FROM pg_roles WHERE rolname = $1"
		statements = []string{"CREATE ROLE " + name}
		if in.Login {
			statements = append(statements, fmt.Sprintf("ALTER ROLE %s LOGIN CONNECTION LIMIT %d PASSWORD '%s'", name, in.ConnectionLimit, strings.ReplaceAll(in.Password, "'", "''")))
		}
		for _, role := range in.Roles {
			statements = append(statements, fmt.Sprintf("GRANT %s TO %s", pgx.Identifier{role}.Sanitize(), name))
		}
		if in.AssumeRole != "" {
			statements = append(statements, fmt.Sprintf("ALTER ROLE %s SET ROLE TO %s", name, pgx.Identifier{in.AssumeRole}.Sanitize()))
		}
	case declared.TypeDatabase:
		unless = "SELECT FROM pg_database WHERE datname = $1"
		statements = []string{fmt.Sprintf("CREATE DATABASE %s OWNER %s ENCODING '%s'", name, pgx.Identifier{in.Owner}.Sanitize(), in.Encoding)}
	case declared.TypeGrant:
		if in.ObjectType != "database" || len(in.Privileges) > 0 {
			return fmt.Errorf("the stand-in only revokes on databases, not %v on a %s", in.Privileges, in.ObjectType)
		}
		unless = "SELECT WHERE $1 = 'never'"
		statements = []string{fmt.Sprintf("REVOKE ALL ON DATABASE %s FROM %s", pgx.Identifier{in.Database}.Sanitize(), in.Role)}
	case declared.TypeExtension:
		database = in.Database
		unless = "SELECT FROM pg_extension WHERE extname = $1"
		statements = []string{"CREATE EXTENSION " + name}
	default:
		return fmt.Errorf("the stand-in does not know the type %s", kind)
	}
	p.mu.Lock()
	server := p.provider["postgresql"]
	p.mu.Unlock()
	options, err := pgx.ParseConfig(fmt.Sprintf("postgres://%v:%v/%s?sslmode=disable", server["host"], server["port"], database))
	if err != nil {
		return err
	}
	options.User, options.Password = fmt.Sprint(server["username"]), fmt.Sprint(server["password"])
	c, err := pgx.ConnectConfig(ctx, options)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	there, err := c.Exec(ctx, unless, in.Name)
	if err != nil {
		return err
	}
	if there.RowsAffected() > 0 {
		statements = statements[1:]
	}
	for _, statement := range statements {
		if _, err := c.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
