package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// server answers on loopback for what the SDK and the Pulumi engine know by an address
// alone: the Pulumi engine asks it to run the program, and the program logs through it.
type server struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	pulumirpc.UnimplementedEngineServer

	program pulumi.RunFunc
	stop    chan bool
	handle  rpcutil.ServeHandle

	mu           sync.Mutex
	said, status diag.Sink // nil before the Pulumi engine has started
}

// serve starts the server.
func serve(p Preview) (*server, error) {
	s := &server{program: p.Program, stop: make(chan bool)}
	var err error
	s.handle, err = rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel: s.stop,
		Init: func(registrar *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(registrar, s)
			pulumirpc.RegisterEngineServer(registrar, s)
			return nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("serving the program on loopback: %w", err)
	}
	return s, nil
}

func (s *server) address() string { return fmt.Sprintf("127.0.0.1:%d", s.handle.Port) }
func (s *server) close()          { close(s.stop) }

// listen says where log messages go.
func (s *server) listen(said, status diag.Sink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said, s.status = said, status
}

func (s *server) log(severity diag.Severity, urn resource.URN, message string, stream int32, passing bool) {
	s.mu.Lock()
	sink := s.said
	if passing {
		sink = s.status
	}
	s.mu.Unlock()
	if sink != nil {
		sink.Logf(severity, diag.StreamMessage(urn, message, stream))
	}
}

// severities are the SDK's, as the Pulumi engine calls them.
var severities = map[pulumirpc.LogSeverity]diag.Severity{
	pulumirpc.LogSeverity_DEBUG:   diag.Debug,
	pulumirpc.LogSeverity_INFO:    diag.Info,
	pulumirpc.LogSeverity_WARNING: diag.Warning,
	pulumirpc.LogSeverity_ERROR:   diag.Error,
}

// Log takes a message of the program.
func (s *server) Log(_ context.Context, r *pulumirpc.LogRequest) (*emptypb.Empty, error) {
	severity, known := severities[r.GetSeverity()]
	if !known {
		severity = diag.Error
	}
	s.log(severity, resource.URN(r.GetUrn()), r.GetMessage(), r.GetStreamId(), r.GetEphemeral())
	return &emptypb.Empty{}, nil
}

// GetPluginInfo says which version of the runtime this is: none.
func (s *server) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{}, nil
}

// GetRequiredPackages lists no package: the providers are values of this process.
func (s *server) GetRequiredPackages(context.Context, *pulumirpc.GetRequiredPackagesRequest) (*pulumirpc.GetRequiredPackagesResponse, error) {
	return &pulumirpc.GetRequiredPackagesResponse{}, nil
}

// Run runs the program. It does not wait for it once the Pulumi engine has given up.
func (s *server) Run(ctx context.Context, r *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	ended := make(chan error, 1)
	go func() {
		ended <- guarded("the program", func() error {
			return pulumi.RunErr(s.program, func(info *pulumi.RunInfo) {
				*info = pulumi.RunInfo{
					Project: r.GetProject(), Stack: r.GetStack(), Organization: r.GetOrganization(),
					Config: r.GetConfig(), ConfigSecretKeys: r.GetConfigSecretKeys(),
					Parallel: r.GetParallel(), DryRun: r.GetDryRun(),
					MonitorAddr: r.GetMonitorAddress(), EngineAddr: s.address(),
				}
			})
		})
	}()
	select {
	case err := <-ended:
		response := &pulumirpc.RunResponse{}
		if err != nil {
			response.Error = err.Error() // what a failed program is in the protocol
		}
		return response, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// guarded makes a panic of what runs here an error of its own.
func guarded(what string, run func() error) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%s panicked: %v", what, fault)
		}
	}()
	return run()
}
