package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/alorig/fleet/internal/ledger"
)

func TestGeneratedDocumentsAreCurrent(t *testing.T) {
	t.Parallel()
	for format, name := range map[string]string{"markdown": "ledger.md", "svg": "ladder.svg"} {
		code, want, stderr := alorig(t, "ledger", "--format", format)
		if code != exitClean {
			t.Fatalf("%s: %s", format, stderr)
		}
		got, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("docs/%s is stale: run go generate ./cmd/alorig", name)
		}
	}
}

func TestLedgerAsJSON(t *testing.T) {
	t.Parallel()
	_, text, _ := alorig(t, "ledger", "--json")
	if _, same, _ := alorig(t, "ledger", "--format", "json"); same != text {
		t.Error("--json and --format json differ")
	}
	var got struct {
		ledger.Ledger
		Totals ledger.Totals `json:"totals"`
		Ladder []ledger.Rung `json:"ladder"`
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatal(err)
	}
	l := ledger.Alorig()
	if !reflect.DeepEqual(got.Ledger, l) || got.Totals != l.Totals() || !reflect.DeepEqual(got.Ladder, l.Ladder()) {
		t.Error("the JSON decodes to another ledger")
	}
}

// Every allocation of the ledger stands in the tables that people read.
func TestLedgerForPeople(t *testing.T) {
	t.Parallel()
	_, table, _ := alorig(t, "ledger")
	_, markdown, _ := alorig(t, "ledger", "--format", "markdown")
	var want []string
	l := ledger.Alorig()
	for _, a := range l.Apps {
		want = append(want, a.Title, a.KeyPrefix, a.Blueprint, a.Budget.String())
		for _, d := range a.Databases {
			want = append(want, d.Name)
		}
		for _, c := range a.Containers {
			want = append(want, ledger.ContainerName(a.Name, c.Role), c.Image)
			if c.Port != 0 {
				want = append(want, strconv.Itoa(c.Port))
			}
		}
		for _, r := range a.Routes {
			want = append(want, r.Key())
		}
	}
	for _, s := range l.Services {
		want = append(want, s.Container)
	}
	for _, r := range l.Reserved {
		want = append(want, r.Name)
	}
	want = append(want, "10.7 GB", "13 GB", "16 GB", "15.5 GB", "administrators' addresses only", "WebSocket", "DNS-only")
	for _, w := range want {
		for name, text := range map[string]string{"table": table, "Markdown": markdown} {
			if !strings.Contains(text, w) {
				t.Errorf("the %s does not show %q", name, w)
			}
		}
	}
	// A cell with a bar would break its row.
	columns := 0
	for line := range strings.Lines(markdown) {
		if !strings.HasPrefix(line, "|") {
			columns = 0
			continue
		}
		if n := strings.Count(line, "|"); columns == 0 {
			columns = n
		} else if n != columns {
			t.Errorf("a row of %d columns among rows of %d: %s", n, columns, line)
		}
	}
}

// The picture stays within its frame and no bar ends beyond the server.
func TestLadderPicture(t *testing.T) {
	t.Parallel()
	var picture bytes.Buffer
	writeLadder(&picture, ledger.Alorig())
	decoder := xml.NewDecoder(&picture)
	number := func(e xml.StartElement, name string) int {
		for _, a := range e.Attr {
			if a.Name.Local == name {
				n, err := strconv.Atoi(a.Value)
				if err != nil {
					t.Errorf("%s=%q", name, a.Value)
				}
				return n
			}
		}
		return 0
	}
	width, server, bars := 0, 0, []int{}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch e.Name.Local {
		case "svg":
			width = number(e, "width")
		case "rect":
			if number(e, "width") < 0 {
				t.Errorf("a bar of negative width: %v", e.Attr)
			}
			if number(e, "width") < width { // all but the background
				bars = append(bars, number(e, "x")+number(e, "width"))
			}
		case "line":
			server = max(server, number(e, "x1"))
		}
	}
	if server == 0 || server > width {
		t.Fatalf("the server's line stands at %d of %d", server, width)
	}
	if len(bars) < 7*2+6+3 {
		t.Errorf("%d bars", len(bars))
	}
	for _, end := range bars {
		if end > server {
			t.Errorf("a bar ends at %d, beyond the server at %d", end, server)
		}
	}
}
