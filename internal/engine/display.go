package engine

import (
	"github.com/pulumi/pulumi/pkg/v3/backend/display"
	"github.com/pulumi/pulumi/pkg/v3/engine"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// show gathers the events in seen, and shows them on the terminal if there is one. The
// channel it returns is closed when everything has been shown.
func (p Preview) show(stack tokens.StackName, events <-chan engine.Event, seen *collector) <-chan bool {
	done, passed := make(chan bool), make(chan engine.Event)
	go func() {
		defer close(passed)
		for event := range events {
			seen.add(event)
			passed <- event
			if event.Type == engine.CancelEvent { // the last
				return
			}
		}
	}()
	if p.Terminal == nil {
		go func() {
			defer close(done)
			for range passed { // nobody watches
			}
		}()
		return done
	}
	color := colors.Never
	if p.Color {
		color = colors.Always
	}
	go display.ShowEvents("Previewing update", apitype.PreviewUpdate, stack, tokens.PackageName(p.Project), "", passed, done, display.Options{
		Stdout: p.Terminal, Stderr: p.Terminal, Color: color, IsInteractive: true,
		SuppressPermalink: true, SuppressOutputs: true,
	}, true)
	return done
}
