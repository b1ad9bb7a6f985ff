package engine

import (
	"context"
	"errors"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/pkg/v3/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// echo stands in for a provider: it accepts all inputs and answers with them. A preview
// against it shows the program and the rules, and touches nothing.
type echo struct {
	plugin.UnimplementedProvider
	name    tokens.Package
	version *semver.Version // the one the program asked for
}

func (e *echo) Pkg() tokens.Package { return e.name }

func (e *echo) Close() error { return nil }

func (e *echo) SignalCancellation(context.Context) error { return nil }

func (e *echo) GetPluginInfo(context.Context) (plugin.PluginInfo, error) {
	return plugin.PluginInfo{Version: e.version}, nil
}

func (e *echo) CheckConfig(_ context.Context, r plugin.CheckConfigRequest) (plugin.CheckConfigResponse, error) {
	return plugin.CheckConfigResponse{Properties: r.News}, nil
}

func (e *echo) DiffConfig(context.Context, plugin.DiffConfigRequest) (plugin.DiffConfigResponse, error) {
	return plugin.DiffConfigResponse{}, nil
}

func (e *echo) Configure(context.Context, plugin.ConfigureRequest) (plugin.ConfigureResponse, error) {
	return plugin.ConfigureResponse{}, nil
}

func (e *echo) Check(_ context.Context, r plugin.CheckRequest) (plugin.CheckResponse, error) {
	return plugin.CheckResponse{Properties: r.News}, nil
}

// Create refuses everything but a preview: nothing that this provider says exists.
func (e *echo) Create(_ context.Context, r plugin.CreateRequest) (plugin.CreateResponse, error) {
	if !r.Preview {
		return plugin.CreateResponse{}, errors.New("the offline provider creates nothing; update with the official providers")
	}
	return plugin.CreateResponse{Properties: r.Properties}, nil
}

// Invoke answers a function of the provider with its own arguments.
func (e *echo) Invoke(_ context.Context, r plugin.InvokeRequest) (plugin.InvokeResponse, error) {
	return plugin.InvokeResponse{Properties: r.Args}, nil
}
