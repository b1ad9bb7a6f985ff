package engine

import (
	"cmp"
	"context"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/pkg/v3/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/pinned"
	"github.com/alorig/fleet/policy/rules"
)

// packCommand is the name under which this test binary acts as the policy pack: the CLI
// starts a pack as an executable whose name begins like this.
const packCommand = "pulumi-analyzer-policy-alorig"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == packCommand {
		pack := func(*pulumi.Context) (policyx.PolicyPack, error) { return rules.Pack(ledger.Alorig()) }
		if err := policyx.Main(pack); err != nil {
			log.Fatal(err)
		}
		return
	}
	os.Exit(m.Run())
}

// The official CLI of the pinned version, with --policy-pack and the same stand-in for the
// providers, says of a program exactly what the Pulumi engine in this process says.
func TestTheOfficialCLIAgrees(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the pinned Pulumi CLI, which the first run builds for minutes")
	}
	committed, _ := fleet(t)
	for name, p := range map[string]Preview{"fleet": committed, "rogue": rogue(t)} {
		t.Run(name, func(t *testing.T) {
			here, err := p.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			there := official(t, p)
			if !slices.Equal(here.Findings, there.Findings) {
				t.Errorf("the findings differ. Here:\n%v\nthe CLI:\n%v", told(here.Findings), told(there.Findings))
			}
			if len(here.Changes) != len(there.Changes) {
				t.Errorf("changes here %v, the CLI %v", here.Changes, there.Changes)
			}
			for operation, n := range there.Changes {
				if here.Changes[operation] != n {
					t.Errorf("changes here %v, the CLI %v", here.Changes, there.Changes)
				}
			}
			if (name == "rogue") != there.Refused() {
				t.Errorf("the CLI refuses: %v", there.Refused())
			}
		})
	}
}

func told(fs []Finding) string {
	var b strings.Builder
	for _, f := range fs {
		b.WriteString(cmp.Or(f.URN, "the stack") + " [" + f.Level + " " + f.Rule + "] " + f.Message + "\n")
	}
	return b.String()
}

// official previews with the pinned CLI on an empty, temporary stack.
func official(t *testing.T, p Preview) Result {
	t.Helper()
	binary, err := pinned.Pulumi(t.Context(), "../..", os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	command, err := auto.NewPulumiCommand(&auto.PulumiCommandOptions{Root: filepath.Dir(filepath.Dir(binary)), SkipVersionCheck: true})
	if err != nil {
		t.Fatal(err)
	}
	room := t.TempDir()
	work, pack := filepath.Join(room, "project"), filepath.Join(room, "policy")
	for _, directory := range []string{work, pack, filepath.Join(room, "state")} {
		if err := os.MkdirAll(directory, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range map[string]string{"Pulumi.yaml": work, "policy/PulumiPolicy.yaml": pack} {
		text, err := os.ReadFile(filepath.Join("../..", from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(from)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(pack, packCommand)); err != nil {
		t.Fatal(err)
	}
	port := serveEcho(t)
	var attached []string
	for _, provider := range []string{"cloudflare", "command", "docker", "postgresql"} {
		attached = append(attached, provider+":"+strconv.Itoa(port))
	}
	stack, err := auto.NewStackInlineSource(t.Context(), p.Stack, "", p.Program, auto.Pulumi(command), auto.WorkDir(work),
		auto.PulumiHome(filepath.Join(room, "home")),
		auto.EnvVars(map[string]string{
			"PULUMI_BACKEND_URL":       "file://" + filepath.Join(room, "state"),
			"PULUMI_CONFIG_PASSPHRASE": "offline",
			"PULUMI_DEBUG_PROVIDERS":   strings.Join(attached, ","),
			"PULUMI_SKIP_UPDATE_CHECK": "true",
		}))
	if err != nil {
		t.Fatal(err)
	}
	var said Result
	stream, ended := make(chan events.EngineEvent), make(chan struct{})
	go func() {
		defer close(ended)
		for event := range stream {
			switch {
			case event.PolicyEvent != nil:
				e := event.PolicyEvent
				said.Findings = append(said.Findings, Finding{
					Rule: e.PolicyName, Level: e.EnforcementLevel, Message: plain(e.Message), URN: e.ResourceURN,
				})
			case event.SummaryEvent != nil:
				said.Changes = map[string]int{}
				for operation, n := range event.SummaryEvent.ResourceChanges {
					said.Changes[string(operation)] = n
				}
			}
		}
	}()
	_, err = stack.Preview(t.Context(), optpreview.EventStreams(stream), optpreview.PolicyPacks(filepath.Join(pack, packCommand)), optpreview.Color("never"))
	<-ended
	result := (&collector{gathered: said}).result()
	if err != nil && !result.Refused() {
		t.Fatal(err)
	}
	return result
}

// serveEcho serves the stand-in on loopback as a plugin. One process answers for every
// provider of the program, and Pulumi's server of a plugin keeps what it was configured with
// without a lock: it is asked one call at a time.
func serveEcho(t *testing.T) int {
	t.Helper()
	stop := make(chan bool)
	var asked sync.Mutex
	oneAtATime := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, answer grpc.UnaryHandler) (any, error) {
		asked.Lock()
		defer asked.Unlock()
		return answer(ctx, request)
	}
	version := semver.MustParse("999.0.0") // the CLI warns of a plugin older than its SDK
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel:  stop,
		Options: []grpc.ServerOption{grpc.ChainUnaryInterceptor(oneAtATime)},
		Init: func(s *grpc.Server) error {
			pulumirpc.RegisterResourceProviderServer(s, attachable{plugin.NewProviderServer(&echo{version: &version})})
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(stop) })
	return handle.Port
}

// attachable is a provider that runs already when the CLI begins.
type attachable struct {
	pulumirpc.ResourceProviderServer
}

func (attachable) Attach(context.Context, *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}
