package components

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// Try starts the next version beside the container, waits until it is healthy, and ends
// it. If it does not become healthy, the update of this app fails and nothing has changed.
// The server has memory for one next version at a time. So in an app with several serving
// containers, all but the first are tried before the first is handed over.
func (w *Workload) Try(ctx *pulumi.Context, after ...pulumi.Resource) (err error) {
	w.Tried, err = w.step(ctx, "try", document.TryNext, nil, w.waitFor(after))
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
	if w.Taken, err = w.step(ctx, "take", document.TakeOver, nil, w.waitFor(after)); err != nil {
		return err
	}
	if err := w.replace(ctx, append(after[:len(after):len(after)], w.Taken)); err != nil {
		return err
	}
	// What take prints is new each time, so the end runs after every take. It must also do so
	// where the update has found nothing to change about the container: an earlier one was cut
	// short after its take, and this one goes back. And it follows every new container, whatever
	// has made the provider replace it.
	w.Done, err = w.step(ctx, "end", document.EndHandover, pulumi.Array{stdout(w.Taken), w.Container.ID()}, pulumi.DependsOn([]pulumi.Resource{w.Container}))
	if err != nil {
		return err
	}
	return w.registerOutputs(ctx)
}

// step registers a step. Its document holds all of the container, so whatever changes the
// container takes the step.
func (w *Workload) step(ctx *pulumi.Context, name string, verb document.Verb, triggers pulumi.Array, after pulumi.ResourceOption) (pulumi.Resource, error) {
	c := w.container
	header := document.NewHeader(c.app, c.Name)
	header.Digest = c.Image
	return w.platform.program.run(ctx, ledger.Logical(c.Name, name), task{
		verb: verb, triggers: triggers,
		document: c.documented(func(whole document.Container) any {
			return document.Handover{
				Header: header, Stack: c.Labels[ledger.LabelStack], Container: whole,
				Lock: w.platform.lock(c.Name), Patience: seconds(workload.Patience),
			}
		}),
	}, pulumi.Parent(w), after)
}
