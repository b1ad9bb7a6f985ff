package engine

import (
	"context"

	"github.com/pulumi/pulumi/pkg/v3/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// analyzer is the pack behind the Pulumi engine's own client of packs. The client writes
// each resource as it does for a pack's process: unknown values, secrets and outputs
// arrive here exactly as they would there. [policyx.Main] has the other end; it can only
// be had as a process. The client accepts no errors but gRPC's.
type analyzer struct {
	pulumirpc.AnalyzerClient // nil: a preview calls what is below, and nothing else
	pack                     policyx.PolicyPack
}

// policyType tells the Pulumi engine's display what a policy looks at.
func policyType(p policyx.Policy) pulumirpc.PolicyType {
	if _, ok := p.(policyx.StackValidationPolicy); ok {
		return pulumirpc.PolicyType_POLICY_TYPE_STACK
	}
	return pulumirpc.PolicyType_POLICY_TYPE_RESOURCE
}

func (a analyzer) GetAnalyzerInfo(context.Context, *emptypb.Empty, ...grpc.CallOption) (*pulumirpc.AnalyzerInfo, error) {
	info := &pulumirpc.AnalyzerInfo{Name: a.pack.Name(), Version: a.pack.Version().String()}
	for _, p := range a.pack.Policies() {
		info.Policies = append(info.Policies, &pulumirpc.PolicyInfo{
			Name: p.Name(), Description: p.Description(), PolicyType: policyType(p),
			EnforcementLevel: pulumirpc.EnforcementLevel(p.EnforcementLevel()),
		})
	}
	return info, nil
}

func (a analyzer) GetPluginInfo(context.Context, *emptypb.Empty, ...grpc.CallOption) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: a.pack.Version().String()}, nil
}

func (a analyzer) Cancel(context.Context, *emptypb.Empty, ...grpc.CallOption) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// Analyze judges one resource by its inputs.
func (a analyzer) Analyze(ctx context.Context, r *pulumirpc.AnalyzeRequest, _ ...grpc.CallOption) (*pulumirpc.AnalyzeResponse, error) {
	declared, err := readResource(r)
	if err != nil {
		return nil, err
	}
	declared.Parent = r.GetOptions().GetParent()
	response := &pulumirpc.AnalyzeResponse{}
	for _, p := range a.pack.Policies() {
		policy, ok := p.(policyx.ResourceValidationPolicy)
		if !ok {
			continue
		}
		err := guarded("rule "+p.Name(), func() error {
			return policy.Validate(ctx, policyx.ResourceValidationArgs{
				Manager: a.manager(p, declared.URN, response), Resource: declared,
			})
		})
		if err != nil {
			return nil, status.Errorf(codes.Unknown, "judging %s: %v", declared.URN, err)
		}
	}
	return response, nil
}

// AnalyzeStack judges all resources together by their outputs.
func (a analyzer) AnalyzeStack(ctx context.Context, r *pulumirpc.AnalyzeStackRequest, _ ...grpc.CallOption) (*pulumirpc.AnalyzeResponse, error) {
	stack := make([]policyx.AnalyzerResource, len(r.GetResources()))
	for i, e := range r.GetResources() {
		var err error
		if stack[i], err = readResource(e); err != nil {
			return nil, err
		}
		stack[i].Parent, stack[i].Dependencies = e.GetParent(), e.GetDependencies()
	}
	response := &pulumirpc.AnalyzeResponse{}
	for _, p := range a.pack.Policies() {
		policy, ok := p.(policyx.StackValidationPolicy)
		if !ok {
			continue
		}
		err := guarded("rule "+p.Name(), func() error {
			return policy.Validate(ctx, policyx.StackValidationArgs{Manager: a.manager(p, "", response), Resources: stack})
		})
		if err != nil {
			return nil, status.Errorf(codes.Unknown, "judging the stack: %v", err)
		}
	}
	return response, nil
}

// Remediate changes nothing: the pack has rules only.
func (a analyzer) Remediate(context.Context, *pulumirpc.AnalyzeRequest, ...grpc.CallOption) (*pulumirpc.RemediateResponse, error) {
	return &pulumirpc.RemediateResponse{}, nil
}

// described is what both requests say of a resource.
type described interface {
	GetUrn() string
	GetType() string
	GetName() string
	GetProperties() *structpb.Struct
	GetOptions() *pulumirpc.AnalyzerResourceOptions
}

func readResource(r described) (policyx.AnalyzerResource, error) {
	properties, err := plugin.UnmarshalProperties(r.GetProperties(), plugin.MarshalOptions{
		KeepUnknowns: true, KeepSecrets: true, KeepResources: true, KeepOutputValues: true,
	})
	if err != nil {
		return policyx.AnalyzerResource{}, status.Errorf(codes.Unknown, "reading the properties of %s: %v", r.GetUrn(), err)
	}
	options := r.GetOptions()
	return policyx.AnalyzerResource{
		URN: r.GetUrn(), Type: r.GetType(), Name: r.GetName(),
		Properties: resource.FromResourcePropertyMap(properties),
		Options: pulumi.ResourceOptions{
			Protect:                 options.GetProtect(),
			IgnoreChanges:           options.GetIgnoreChanges(),
			DeleteBeforeReplace:     options.GetDeleteBeforeReplace(),
			AdditionalSecretOutputs: options.GetAdditionalSecretOutputs(),
		},
	}, nil
}

// manager takes what a policy reports, about urn unless it names another.
func (a analyzer) manager(p policyx.Policy, urn string, response *pulumirpc.AnalyzeResponse) policyx.PolicyManager {
	return reporter(func(message, about string) {
		if about == "" {
			about = urn
		}
		text := p.Description()
		if message != "" {
			text += "\n" + message
		}
		response.Diagnostics = append(response.Diagnostics, &pulumirpc.AnalyzeDiagnostic{
			PolicyName: p.Name(), PolicyPackName: a.pack.Name(), PolicyPackVersion: a.pack.Version().String(),
			Description: p.Description(), Message: text, Urn: about,
			EnforcementLevel: pulumirpc.EnforcementLevel(p.EnforcementLevel()),
		})
	})
}

type reporter func(message, urn string)

// ReportViolation implements [policyx.PolicyManager].
func (r reporter) ReportViolation(message, urn string) { r(message, urn) }
