package ledger

import "testing"

func TestTotals(t *testing.T) {
	t.Parallel()
	app := func(cs ...Container) Ledger { return Ledger{Apps: []App{{Name: "shop", Containers: cs}}} }
	tests := []struct {
		name   string
		ledger Ledger
		want   Totals
	}{
		{"nothing", Ledger{}, Totals{}},
		{"reservation", Ledger{Reserved: []Reservation{{Memory: Memory{5, 7}}}}, Totals{Steady: 5, Limits: 7}},
		{"service", Ledger{Services: []Service{{Memory: Memory{5, 7}}}}, Totals{Steady: 5, Limits: 7}},
		{"on demand", Ledger{Services: []Service{{Memory: Memory{5, 7}, OnDemand: true}}}, Totals{Transient: 7}},
		{"worker is replaced in place", app(Container{Role: Worker, Memory: Memory{5, 7}}), Totals{Steady: 5, Limits: 7}},
		{"backend's next version runs beside it", app(Container{Role: Backend, Memory: Memory{5, 7}}), Totals{Steady: 5, Limits: 7, Transient: 7}},
		{
			"only the largest transient counts",
			app(Container{Role: Backend, Memory: Memory{1, 7}}, Container{Role: Payload, Memory: Memory{1, 9}}, Container{Role: Channels, Memory: Memory{1, 8}}),
			Totals{Steady: 3, Limits: 24, Transient: 9},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := tt.ledger.Totals()
			if got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if got.Peak() != tt.want.Limits+tt.want.Transient {
				t.Errorf("peak %d", got.Peak())
			}
		})
	}
}

func TestMiBIsWrittenLikeTheSeed(t *testing.T) {
	t.Parallel()
	for amount, want := range map[MiB]string{
		0: "0 MB", 1: "1 MB", 700: "700 MB", 999: "999 MB",
		1000: "1 GB", 1001: "1.001 GB", 1250: "1.25 GB", 1750: "1.75 GB", 1800: "1.8 GB",
		10000: "10 GB", 10700: "10.7 GB", 13 * GB: "13 GB", 16 * GB: "16 GB",
		-1: "-1 MB", -999: "-999 MB", -1000: "-1 GB", -2300: "-2.3 GB",
	} {
		if got := amount.String(); got != want {
			t.Errorf("%d MiB is written %q, want %q", int(amount), got, want)
		}
	}
}
