package main

import (
	"fmt"
	"io"

	svg "github.com/ajstarks/svgo"

	"github.com/alorig/fleet/internal/ledger"
)

// writeLadder draws the RAM ladder: one bar per step, steady state inside the peak of
// the hard limits, with the trigger and the server as lines across.
func writeLadder(w io.Writer, l ledger.Ledger) {
	const (
		width, left, right  = 860, 230, 60
		top, step, bar      = 74, 46, 26
		axis                = 34
		steady, peak, added = "#2f6fb0", "#c9dbee", "#1b4675"
	)
	rungs := l.Ladder()
	height := top + len(rungs)*step + axis
	x := func(m ledger.MiB) int { return left + int(m)*(width-left-right)/int(l.Server.Memory) }

	canvas := svg.New(w)
	canvas.Start(width, height, fmt.Sprintf(`viewBox="0 0 %d %d" font-family="system-ui, sans-serif" role="img"`, width, height))
	canvas.Title("Memory of the server after each app")
	canvas.Rect(0, 0, width, height, "fill:#ffffff")
	canvas.Text(16, 26, "Memory of the server after each app", "font-size:17px;font-weight:600;fill:#222")
	legend := 16
	for _, item := range []struct{ color, text string }{
		{steady, "steady state"}, {added, "of it, added by this app"}, {peak, "every hard limit reached, with one transient"},
	} {
		canvas.Rect(legend, 38, 12, 12, "fill:"+item.color)
		canvas.Text(legend+18, 48, item.text, "font-size:12px;fill:#444")
		legend += 46 + 6*len(item.text)
	}
	for i, r := range rungs {
		y := top + i*step
		canvas.Text(left-12, y+18, r.Title, "font-size:14px;text-anchor:end;fill:#222")
		canvas.Rect(left, y, x(r.Peak)-left, bar, "fill:"+peak)
		canvas.Rect(left, y, x(r.Steady)-left, bar, "fill:"+steady)
		if r.After != "" {
			canvas.Rect(x(r.Steady-r.Added), y, x(r.Steady)-x(r.Steady-r.Added), bar, "fill:"+added)
		}
		canvas.Text(left+8, y+18, r.Steady.String(), "font-size:13px;fill:#ffffff;font-weight:600")
		// Behind the bar it would run into the lines of the trigger and the server.
		canvas.Text(x(r.Steady)+8, y+18, r.Peak.String(), "font-size:13px;fill:#1b4675")
	}
	bottom := top + len(rungs)*step - (step - bar) + 8
	for _, line := range []struct {
		at                  ledger.MiB
		color, anchor, text string
	}{
		{l.Server.UpgradeTrigger, "#b06a00", "end", "upgrade trigger of the steady state " + l.Server.UpgradeTrigger.String()},
		{l.Server.Memory, "#b02a2a", "middle", "server " + l.Server.Memory.String()},
	} {
		canvas.Line(x(line.at), top-8, x(line.at), bottom, "stroke-width:2;stroke-dasharray:5 4;stroke:"+line.color)
		canvas.Text(x(line.at), bottom+18, line.text, "font-size:12px;text-anchor:"+line.anchor+";fill:"+line.color)
	}
	canvas.End()
}
