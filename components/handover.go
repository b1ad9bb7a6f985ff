package components

import (
	_ "embed" // the scripts
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/ledger"
)

// HandoverArgs declares the handover of one serving container to its next version.
type HandoverArgs struct {
	Workload *WorkloadArgs
	Platform *Platform
	// Try proves the next version once beforehand. Every serving container of an app but
	// the first to be handed over needs it: the memory of the server has room for one
	// next version at a time, and none may stop serving before all have been proven.
	Try   bool
	After []pulumi.Resource // what must be there before the next version starts
}

// Handover replaces a serving container without a gap. The next version proves itself
// beside the old one and serves in its place while the provider replaces the container of
// the fixed name; then it goes. If it does not get healthy, the old version has never
// stopped serving and the update of this app fails (docs/adr/0018-handover.md).
//
// Where no container serves yet there is nothing to hand over, and every step is empty.
type Handover struct {
	pulumi.ResourceState

	// Proven is there once the next version has been tried; nil without Try.
	Proven pulumi.Resource
	// Taken is there once the next version serves; set by [NewWorkload].
	Taken pulumi.Resource

	container  container
	parameters string
	shell      Shell
}

//go:embed scripts/next.sh
var nextFunctions string

//go:embed scripts/handover-try.sh
var tryHandover string

//go:embed scripts/handover-take.sh
var takeHandover string

//go:embed scripts/handover-end.sh
var endHandover string

// NewHandover registers the handover and its trial. [NewWorkload] takes it and puts its
// other steps before and behind the container.
func NewHandover(ctx *pulumi.Context, name string, args *HandoverArgs, opts ...pulumi.ResourceOption) (*Handover, error) {
	c := args.Workload.container(ctx.Stack())
	next := ledger.NextName(c.name)
	handover := &Handover{
		container: c, shell: args.Platform.shell,
		parameters: fmt.Sprintf("stack=%s\ncontainer=%s\nnext=%s\nprevious=%s\nlock=%s\n",
			c.stack, c.name, next, ledger.PreviousName(c.name), args.Platform.lock(c.name)) + c.create() + nextFunctions,
	}
	inputs := pulumi.Map{
		"app": pulumi.String(c.app), "container": pulumi.String(c.name), "next": pulumi.String(next),
		"memoryReservation": pulumi.Int(int(c.memory.Steady)), "memory": pulumi.Int(int(c.memory.Limit)),
	}
	if err := ctx.RegisterComponentResourceV2(ledger.TypeHandover, name, inputs, handover, opts...); err != nil {
		return nil, fmt.Errorf("registering handover %q: %w", name, err)
	}
	if args.Try {
		var err error
		if handover.Proven, err = handover.step(ctx, "try", tryHandover, args.After); err != nil {
			return nil, err
		}
	}
	if err := ctx.RegisterResourceOutputs(handover, inputs); err != nil {
		return nil, fmt.Errorf("registering outputs of handover %q: %w", name, err)
	}
	return handover, nil
}

// take starts and proves the next version and lets it serve.
func (h *Handover) take(ctx *pulumi.Context, after []pulumi.Resource) (err error) {
	h.Taken, err = h.step(ctx, "take", takeHandover, after)
	return err
}

// end removes what stands beside the container. It runs whenever take has run: also in an
// update back to what the container still is, after one that was cut short between them.
func (h *Handover) end(ctx *pulumi.Context, after pulumi.Resource) (pulumi.Resource, error) {
	return h.step(ctx, "end", endHandover, []pulumi.Resource{after}, stdout(h.Taken))
}

// step registers a script whose text and standard input hold all of the container, so
// that whatever changes the container runs it.
func (h *Handover) step(ctx *pulumi.Context, name, text string, after []pulumi.Resource, triggers ...pulumi.Input) (pulumi.Resource, error) {
	return h.shell.run(ctx, ledger.Logical(h.container.name, name), script{
		apply: h.parameters + text, stdin: h.container.env.exports(), triggers: triggers,
	}, pulumi.Parent(h), pulumi.DependsOn(after))
}
