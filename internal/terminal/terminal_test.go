package terminal_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/alorig/fleet/internal/terminal"
)

func TestWhatATerminalActsOnIsShown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, line, whole string }{
		{"psydge_backend", "psydge_backend", "psydge_backend"},
		{"Zoë 日本 ✓", "Zoë 日本 ✓", "Zoë 日本 ✓"},
		{"op\x1b[2J\x1b[31m", `op\x1b[2J\x1b[31m`, `op\x1b[2J\x1b[31m`},
		{"a\nb\tc\r\nd", `a\nb\tc\r\nd`, "a\nb\tc\nd"},
		{"over\rwritten\a\b\x7f", `over\rwritten\a\b\x7f`, `over\rwritten\a\b\x7f`},
		{"\u009b31m", `\u009b31m`, `\u009b31m`}, // the same as ESC [ in one character
		{"\x9b31m", `\x9b31m`, `\x9b31m`},       // and as a byte
		{"live\u202eegdysp", `live\u202eegdysp`, `live\u202eegdysp`},
	} {
		if got := terminal.Line(tt.text); got != tt.line {
			t.Errorf("line of %q is %q, want %q", tt.text, got, tt.line)
		}
		if got := terminal.Text(tt.text); got != tt.whole {
			t.Errorf("text of %q is %q, want %q", tt.text, got, tt.whole)
		}
		var cut bytes.Buffer // one byte at a time
		w := terminal.NewWriter(&cut)
		for _, b := range []byte(tt.text + "\n") {
			if n, err := w.Write([]byte{b}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if cut.String() != tt.whole+"\n" {
			t.Errorf("%q in single bytes is %q, want %q", tt.text, cut.String(), tt.whole+"\n")
		}
	}
}

func TestWritesStayWhole(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	w := terminal.NewWriter(&got)
	var all sync.WaitGroup
	for _, line := range []string{"standard output\n", "standard error\n"} {
		all.Go(func() {
			for range 100 {
				_, _ = w.Write([]byte(line))
			}
		})
	}
	all.Wait()
	if n := strings.Count(got.String(), "standard output\n") + strings.Count(got.String(), "standard error\n"); n != 200 {
		t.Errorf("of 200 lines %d are whole", n)
	}
}
