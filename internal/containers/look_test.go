package containers

import (
	"testing"
	"time"

	"github.com/alorig/fleet/internal/handover"
)

func TestDockersWordsAreTranslated(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status, health string
		want           handover.Condition
	}{
		{"running", "healthy", handover.Ready},
		{"running", "", handover.Ready},
		{"running", "starting", handover.Starting},
		{"running", "unhealthy", handover.Sick},
		{"running", "unheard of", handover.Sick},
		{"created", "", handover.Created},
		{"created", "starting", handover.Created},
		{"exited", "healthy", handover.Stopped},
		{"paused", "healthy", handover.Stopped},
		{"restarting", "starting", handover.Stopped},
		{"removing", "healthy", handover.Stopped},
		{"dead", "", handover.Stopped},
	} {
		if got := Condition(tt.status, tt.health); got != tt.want {
			t.Errorf("%s/%s is %s, want %s", tt.status, tt.health, got, tt.want)
		}
	}
}

func TestAContainerIsDescribed(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]Found{
		"x is missing":                   {Name: "x", Status: "missing"},
		"x is still starting":            {Name: "x", Status: "running", Condition: handover.Starting},
		"x is created and never started": {Name: "x", Status: "created", Condition: handover.Created},
		"x has ended with exit code 3":   {Name: "x", Status: "exited", Condition: handover.Stopped, ExitCode: 3},
		"x is restarting":                {Name: "x", Status: "restarting", Condition: handover.Stopped},
		"x is unhealthy":                 {Name: "x", Status: "running", Condition: handover.Sick},
	} {
		if got := f.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := (NotReady{Found{Name: "x"}, 3 * time.Second}).Error(); got != "x is missing after 3s" {
		t.Error(got)
	}
}

func TestAProbeRestsTwiceAsLongAsItTook(t *testing.T) {
	t.Parallel()
	for took, want := range map[time.Duration]time.Duration{
		0: 200 * time.Millisecond, 300 * time.Millisecond: 600 * time.Millisecond, time.Minute: 2 * time.Second,
	} {
		if got := pause(took); got != want {
			t.Errorf("%s after %s, want %s", got, took, want)
		}
	}
}
