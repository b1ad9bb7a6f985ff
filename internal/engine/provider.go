package engine

import (
	"context"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// echo stands in for every provider: it accepts all inputs and answers with them. A
// preview against it shows the program and the rules, and touches nothing.
type echo struct {
	pulumirpc.UnimplementedResourceProviderServer
}

// serveEcho serves the stand-in on loopback until ctx ends, and returns its port.
func serveEcho(ctx context.Context) (int, error) {
	cancel := make(chan bool)
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel: cancel,
		Init: func(server *grpc.Server) error {
			pulumirpc.RegisterResourceProviderServer(server, echo{})
			return nil
		},
	})
	if err != nil {
		return 0, fmt.Errorf("starting the offline provider: %w", err)
	}
	context.AfterFunc(ctx, func() { close(cancel) })
	return handle.Port, nil
}

func (echo) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	// The engine warns of a plugin that is older than the program's SDK of it.
	return &pulumirpc.PluginInfo{Version: "999.0.0"}, nil
}

func (echo) Attach(context.Context, *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (echo) CheckConfig(_ context.Context, r *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: r.GetNews()}, nil
}

func (echo) DiffConfig(context.Context, *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	return &pulumirpc.DiffResponse{}, nil
}

func (echo) Configure(context.Context, *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	return &pulumirpc.ConfigureResponse{AcceptSecrets: true, SupportsPreview: true, AcceptResources: true, AcceptOutputs: true}, nil
}

func (echo) Check(_ context.Context, r *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: r.GetNews()}, nil
}

func (echo) Diff(context.Context, *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_UNKNOWN}, nil
}

// Create refuses everything but a preview: nothing that this provider says exists.
func (echo) Create(_ context.Context, r *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	if !r.GetPreview() {
		return nil, fmt.Errorf("the offline provider creates nothing; update with the official providers")
	}
	return &pulumirpc.CreateResponse{Properties: r.GetProperties()}, nil
}

func (echo) Invoke(_ context.Context, r *pulumirpc.InvokeRequest) (*pulumirpc.InvokeResponse, error) {
	return &pulumirpc.InvokeResponse{Return: r.GetArgs()}, nil
}

func (echo) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}
