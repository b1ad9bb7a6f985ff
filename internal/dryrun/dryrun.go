// Package dryrun runs a Pulumi program without the Pulumi engine and records what it would
// register, in the form the rules judge.
package dryrun

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"github.com/alorig/fleet/internal/declared"
)

// Record runs the program as a preview would and returns what it registers, sorted by
// URN. What only an update can know, such as a container's id, stays unknown. An error
// of the program, or of a registration, is returned as it is.
func Record(project, stack string, program pulumi.RunFunc) ([]declared.Resource, error) {
	r := &recorder{project: project, stack: stack, resources: map[string]declared.Resource{}}
	preview := func(info *pulumi.RunInfo) { info.DryRun = true }
	if err := pulumi.RunErr(onOwnStack(program), pulumi.WithMocks(project, stack, r), preview); err != nil {
		// The SDK counts and indents errors, and even a single one.
		var several interface{ WrappedErrors() []error }
		if errors.As(err, &several) {
			err = errors.Join(several.WrappedErrors()...)
		}
		return nil, err
	}
	if len(r.problems) > 0 {
		return nil, errors.Join(r.problems...)
	}
	urns := slices.Sorted(maps.Keys(r.resources))
	recorded := make([]declared.Resource, len(urns))
	for i, urn := range urns {
		recorded[i] = r.resources[urn]
	}
	return recorded, nil
}

// onOwnStack runs the program on a goroutine of its own: at every registration the SDK
// writes down the whole stack below it, and most of that stack would be the caller's.
// Whatever ends that goroutine ends the dry run.
func onOwnStack(program pulumi.RunFunc) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		err := errors.New("the program left by runtime.Goexit")
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer func() {
				if fault := recover(); fault != nil {
					err = fmt.Errorf("the program panicked: %v\n%s", fault, debug.Stack())
				}
			}()
			err = program(ctx)
		}()
		<-ended
		return err
	}
}

// recorder stands in for the Pulumi engine.
type recorder struct {
	project, stack string

	mu        sync.Mutex
	resources map[string]declared.Resource
	problems  []error
}

// NewResource records one registration and answers with its inputs alone.
func (r *recorder) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	request := args.RegisterRPC
	if request == nil {
		return "", args.Inputs, nil // a read of what exists
	}
	// The SDK's own reading of the inputs drops what is unknown; the rules must see it.
	inputs, err := plugin.UnmarshalProperties(request.GetObject(), plugin.MarshalOptions{
		KeepUnknowns: true, KeepSecrets: true, KeepResources: true,
	})
	if err != nil {
		return "", nil, fmt.Errorf("reading the inputs of %s: %w", args.Name, err)
	}
	recorded := declared.Resource{
		URN: r.urn(request), Type: args.TypeToken, Name: args.Name, Parent: request.GetParent(),
		Props:          resource.FromResourcePropertyMap(inputs),
		Protect:        request.GetProtect(),
		RetainOnDelete: new(request.GetRetainOnDelete()),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, twice := r.resources[recorded.URN]; twice {
		r.problems = append(r.problems, fmt.Errorf("%s %q is registered twice; logical names are unique per type", args.TypeToken, args.Name))
	}
	r.resources[recorded.URN] = recorded
	return "", args.Inputs, nil
}

// Call answers a function of a provider with its own arguments.
func (r *recorder) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return args.Args, nil
}

func (r *recorder) urn(request *pulumirpc.RegisterResourceRequest) string {
	var parent string
	if p := resource.URN(request.GetParent()); p != "" && p.QualifiedType() != resource.RootStackType {
		parent = string(p.QualifiedType()) + "$"
	}
	return fmt.Sprintf("urn:pulumi:%s::%s::%s%s::%s", r.stack, r.project, parent, request.GetType(), request.GetName())
}
