package engine

import (
	"fmt"

	"github.com/pulumi/pulumi/pkg/v3/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/env"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"
)

// host gives the Pulumi engine what it would otherwise start as plugins: the rules and
// the providers are values of this process. Everything else is refused with its name.
type host struct {
	*server
	pack policyx.PolicyPack
}

var _ plugin.Host = (*host)(nil)

// ServerAddr is where the program logs.
func (h *host) ServerAddr() string { return h.address() }

func (h *host) Log(severity diag.Severity, urn resource.URN, message string, stream int32) {
	h.log(severity, urn, message, stream, false)
}

func (h *host) LogStatus(severity diag.Severity, urn resource.URN, message string, stream int32) {
	h.log(severity, urn, message, stream, true)
}

// PolicyAnalyzer connects to the rules the way the Pulumi engine connects to a pack's
// process, so that they see what a pack sees.
func (h *host) PolicyAnalyzer(_ *plugin.Context, name tokens.QName, _ string, _ *plugin.PolicyAnalyzerOptions) (plugin.Analyzer, error) {
	return plugin.NewAnalyzerWithClient(name, analyzer{pack: h.pack}), nil
}

// Provider returns the stand-in, whichever provider and version is asked for.
func (h *host) Provider(_ *plugin.Context, asked workspace.PluginDescriptor, _ env.Env) (plugin.Provider, error) {
	return &echo{name: tokens.Package(asked.Name), version: asked.Version}, nil
}

func (h *host) LanguageRuntime(_ *plugin.Context, runtime string) (plugin.LanguageRuntime, error) {
	return nil, fmt.Errorf("the preview runs this process's own program, none of the runtime %q", runtime)
}

func (h *host) ResolvePlugin(_ *plugin.Context, asked workspace.PluginDescriptor) (*workspace.PluginInfo, error) {
	return &workspace.PluginInfo{Name: asked.Name, Kind: asked.Kind, Version: asked.Version}, nil
}

// No schema, mapping or package is looked up in a preview of a Go program.

func (h *host) Loader(*plugin.Context) (*plugin.GrpcServer, error)   { return nil, nil }
func (h *host) Mapper(*plugin.Context) (*plugin.GrpcServer, error)   { return nil, nil }
func (h *host) Resolver(*plugin.Context) (*plugin.GrpcServer, error) { return nil, nil }

func (h *host) StartDebugging(plugin.DebuggingInfo) error {
	return fmt.Errorf("the preview starts no debugger")
}
func (h *host) AttachDebugger(plugin.DebugSpec) bool { return false }

// Nothing was started that has to be stopped.

func (h *host) ReleaseContext(*plugin.Context) error { return nil }
func (h *host) SignalCancellation() error            { return nil }
func (h *host) Close() error                         { return nil }
