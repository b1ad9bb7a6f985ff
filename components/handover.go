package components

import (
	_ "embed" // the scripts
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

//go:embed scripts/next.sh
var nextFunctions string

//go:embed scripts/handover-try.sh
var tryNext string

//go:embed scripts/handover-take.sh
var takeOver string

//go:embed scripts/handover-end.sh
var endHandover string

// Try starts the next version beside the container, waits until it is healthy, and ends
// it. If it does not become healthy, the update of this app fails and nothing has changed.
// The server has memory for one next version at a time. So in an app with several serving
// containers, all but the first are tried before the first is handed over.
func (w *Workload) Try(ctx *pulumi.Context, after ...pulumi.Resource) (err error) {
	w.Tried, err = w.step(ctx, "try", tryNext, w.waitFor(after))
	return err
}

// HandOver replaces a serving container without a gap (docs/adr/0018-handover.md):
//
//  1. take: the next version starts beside the container and, once it is healthy, serves
//     in its place. If it does not become healthy, the old version has never stopped
//     serving, and the update of this app fails.
//  2. The provider replaces the container.
//  3. end: the next version goes, once the new container is healthy.
//
// Where no container serves yet there is nothing to hand over, and take and end do nothing.
func (w *Workload) HandOver(ctx *pulumi.Context, after ...pulumi.Resource) (err error) {
	if w.Taken, err = w.step(ctx, "take", takeOver, w.waitFor(after)); err != nil {
		return err
	}
	if err := w.replace(ctx, append(after[:len(after):len(after)], w.Taken)); err != nil {
		return err
	}
	// What take prints is new each time, so the end runs after every take. It must also do so
	// where the update has found nothing to change about the container: an earlier one was cut
	// short after its take, and this one goes back.
	w.Done, err = w.step(ctx, "end", endHandover, pulumi.DependsOn([]pulumi.Resource{w.Container}), stdout(w.Taken))
	if err != nil {
		return err
	}
	return w.registerOutputs(ctx)
}

// step registers a script. Its text and its standard input hold all of the container, so
// whatever changes the container runs the script.
func (w *Workload) step(ctx *pulumi.Context, name, text string, after pulumi.ResourceOption, triggers ...pulumi.Input) (pulumi.Resource, error) {
	c := w.container
	parameters := fmt.Sprintf("stack=%s\ncontainer=%s\nnext=%s\nprevious=%s\nlock=%s\npatience=%d\n",
		c.stack, c.name, ledger.NextName(c.name), ledger.PreviousName(c.name), w.platform.lock(c.name), seconds(workload.Patience))
	return w.platform.shell.run(ctx, ledger.Logical(c.name, name), script{
		apply: parameters + c.create() + nextFunctions + text, stdin: c.env.exports(), triggers: triggers,
	}, pulumi.Parent(w), after)
}
