package markdown

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const sample = "# One *house*\n\n" +
	"See [the plan](plan.md#a-b) and ![picture](x.svg) and `make test`.\n\n" +
	"## A & B: `c`_d?\n\n" +
	"| App | Port |\n|---|---|\n| **Psydge** | `8012` |\n| a \\| b | |\n\n" +
	"```go\nfunc f() {}\n\nvar x int\n```\n\n" +
	"## Twice\n\n    indented\n\n## Twice\n\n- in a list:\n\n  ```\n  listed\n  ```\n"

func TestRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sample.md")
	if err := os.WriteFile(path, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, anchor := range []string{"one-house", "a--b-c_d", "twice", "twice-1"} {
		if !d.Anchors[anchor] {
			t.Errorf("no anchor %q in %v", anchor, d.Anchors)
		}
	}
	if want := []string{"plan.md#a-b", "x.svg"}; !slices.Equal(d.Links, want) {
		t.Errorf("links %q, want %q", d.Links, want)
	}
	if want := []string{"make test", "c", "8012"}; !slices.Equal(d.Spans, want) {
		t.Errorf("spans %q, want %q", d.Spans, want)
	}
	if want := []Block{{"go", "A & B: c_d?", "func f() {}\n\nvar x int\n"}, {"", "Twice", "indented\n"}, {"", "Twice", "listed\n"}}; !slices.Equal(d.Blocks, want) {
		t.Errorf("blocks %q, want %q", d.Blocks, want)
	}
	rows, err := d.Rows("A & B: c_d?", "App", "Port")
	if err != nil || fmt.Sprintf("%q", rows) != `[["Psydge" "8012"] ["a | b" ""]]` {
		t.Errorf("rows %q, %v", rows, err)
	}
	if _, err := d.Rows("A & B: c_d?", "App", "Host"); err == nil {
		t.Error("finds a table that is not there")
	}
}
