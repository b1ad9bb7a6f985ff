// Package docs holds what the documents say against the repository.
package docs

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alorig/fleet/internal/markdown"
)

const root = ".."

// documents are all Markdown files of the repository, by their path from its root.
func documents(t *testing.T) map[string]markdown.Document {
	t.Helper()
	found := map[string]markdown.Document{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, file)
		switch {
		case entry.IsDir() && name != "." && (entry.Name() == "testdata" || name == "bin" || strings.HasPrefix(name, ".") && name != ".github"):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".md":
			return nil
		}
		found[filepath.ToSlash(name)], err = markdown.Read(file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, expected := range []string{"README.md", "docs/install.md", "docs/runbook.md", "docs/adr/README.md", "sandbox/README.md"} {
		if _, ok := found[expected]; !ok {
			t.Fatalf("%s was not read", expected)
		}
	}
	return found
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func exists(name string) bool {
	_, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
	return err == nil
}

// A newcomer reads the README to its end.
func TestTheREADMEIsShort(t *testing.T) {
	t.Parallel()
	if words := len(strings.Fields(read(t, "README.md"))); words > 1000 {
		t.Errorf("README.md has %d words; at most 1000: move what not everybody needs to docs/", words)
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	all := documents(t)
	for name, d := range all {
		for _, link := range d.Links {
			if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
				continue
			}
			target, anchor, _ := strings.Cut(link, "#")
			if target = path.Join(path.Dir(name), target); strings.HasPrefix(link, "#") {
				target = name
			}
			if !exists(target) {
				t.Errorf("%s: the link %s leads to %s, which does not exist", name, link, target)
			} else if anchor != "" && !all[target].Anchors[anchor] {
				t.Errorf("%s: the link %s leads to a heading that %s does not have", name, link, target)
			}
		}
	}
}

// Every document is found by links from the README.
func TestEveryDocumentIsLinked(t *testing.T) {
	t.Parallel()
	all := documents(t)
	reached := map[string]bool{"README.md": true}
	for next := []string{"README.md"}; len(next) > 0; {
		name := next[0]
		next = next[1:]
		for _, link := range all[name].Links {
			target, _, _ := strings.Cut(link, "#")
			target = path.Join(path.Dir(name), target)
			if _, isDocument := all[target]; isDocument && !reached[target] {
				reached[target] = true
				next = append(next, target)
			}
		}
	}
	for name := range all {
		if !reached[name] && !strings.HasPrefix(name, ".github/") {
			t.Errorf("no document that the README leads to links to %s", name)
		}
	}
}

// code is each piece of code of a document: spans, and the lines of blocks.
func code(d markdown.Document) []string {
	pieces := slices.Clone(d.Spans)
	for _, b := range d.Blocks {
		pieces = append(pieces, strings.Split(b.Text, "\n")...)
	}
	return pieces
}

func TestMakeTargetsExist(t *testing.T) {
	t.Parallel()
	targets := map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^([a-z0-9/ -]+):( |$)`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		for _, target := range strings.Fields(line[1]) {
			targets[target] = true
		}
	}
	if !targets["preview"] || !targets["test"] {
		t.Fatalf("the Makefile has the targets %v", targets)
	}
	call := regexp.MustCompile(`(?:^|[|&;(] *)make((?: +[A-Za-z0-9_=/.-]+)+)`)
	for name, d := range documents(t) {
		for _, piece := range code(d) {
			for _, found := range call.FindAllStringSubmatch(piece, -1) {
				for _, word := range strings.Fields(found[1]) {
					if !strings.Contains(word, "=") && !targets[word] {
						t.Errorf("%s: `make %s`: the Makefile has no such target", name, word)
					}
				}
			}
		}
	}
}

// Whatever looks like a path of this repository exists. APP and the like stand for a name.
func TestPathsExist(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	top := []string{`\.ci`, `\.github`}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && e.Name() != "bin" {
			top = append(top, regexp.QuoteMeta(e.Name()))
		}
	}
	inside := regexp.MustCompile(`(?:^|[\s("'=])(?:\./|\.\./)*((?:` + strings.Join(top, "|") + `)/[A-Za-z0-9_./*-]*)`)
	file := regexp.MustCompile(`^(?:Pulumi[A-Za-z.]*\.yaml|Makefile|go\.mod|go\.sum|[a-z]+\.go)$`)
	placeholder := regexp.MustCompile(`\b(?:APP|STACK|NNNN|X|LABEL)\b`)
	for name, d := range documents(t) {
		for _, piece := range code(d) {
			for _, found := range inside.FindAllStringSubmatch(piece, -1) {
				target := strings.TrimRight(found[1], "./")
				if placeholder.MatchString(target) || target == "stacks/notes.go" { // the README's example
					continue
				}
				if matches, err := filepath.Glob(filepath.Join(root, target)); err != nil || len(matches) == 0 {
					t.Errorf("%s names `%s`, which does not exist", name, target)
				}
			}
			if file.MatchString(piece) && !placeholder.MatchString(piece) && !isFileName(t, piece) {
				t.Errorf("%s names `%s`, and the repository has no such file", name, piece)
			}
		}
	}
}

// isFileName reports whether a file of the repository has the name, in any directory.
func isFileName(t *testing.T, name string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && file != root {
			return fs.SkipDir
		}
		found = found || entry.Name() == name
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// The README's plan of the house names every room, and none that is not there.
func TestTheLayoutIsComplete(t *testing.T) {
	t.Parallel()
	named := map[string]bool{}
	for _, b := range documents(t)["README.md"].Blocks {
		if b.Section != "Layout" {
			continue
		}
		for _, line := range strings.Split(strings.TrimSpace(b.Text), "\n") {
			word, _, _ := strings.Cut(line, " ")
			named[strings.TrimSuffix(word, "/")] = true
			if !exists(word) {
				t.Errorf("the layout names %s, which does not exist", word)
			}
		}
	}
	rooms := []string{"main.go", "Pulumi.yaml", "Pulumi.prod.yaml"}
	for _, parent := range []string{".", "internal", "cmd"} {
		entries, err := os.ReadDir(filepath.Join(root, parent))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			room := path.Join(parent, e.Name())
			if e.IsDir() && !strings.HasPrefix(room, ".") && !slices.Contains([]string{"bin", "internal", "cmd"}, room) {
				rooms = append(rooms, room)
			}
		}
	}
	for _, room := range rooms {
		if !named[room] {
			t.Errorf("the layout does not name %s", room)
		}
	}
}

// Every setting that a document names is one of Pulumi.yaml.
func TestSettingsExist(t *testing.T) {
	t.Parallel()
	declared := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^  (alorig:[A-Za-z]+):$`).FindAllStringSubmatch(read(t, "Pulumi.yaml"), -1) {
		declared[found[1]] = true
	}
	if !declared["alorig:rollout"] {
		t.Fatalf("Pulumi.yaml declares %v", declared)
	}
	key := regexp.MustCompile(`alorig:[a-z][A-Za-z]*`)
	for name, d := range documents(t) {
		for _, piece := range code(d) {
			for _, setting := range key.FindAllString(piece, -1) {
				if !declared[setting] && setting != "alorig:fleet" { // the components' types
					t.Errorf("%s names the setting %s, which Pulumi.yaml does not declare", name, setting)
				}
			}
		}
	}
}

// Production's PostgreSQL is reached by `alorig connect`: what asks it is shown that way.
func TestProductionCommandsRunConnected(t *testing.T) {
	t.Parallel()
	asks := regexp.MustCompile(`^\s*(?:pulumi (?:up|preview|refresh|import)\b|ssh .*-L \d+:.*:5432)`)
	for _, name := range []string{"README.md", "docs/install.md", "docs/runbook.md", "docs/contract.md"} {
		for _, b := range documents(t)[name].Blocks {
			for _, line := range strings.Split(b.Text, "\n") {
				if asks.MatchString(line) {
					t.Errorf("%s: %q needs PostgreSQL: begin it with bin/alorig connect --", name, line)
				}
			}
		}
	}
}

// What the runbook quotes is what an operator sees, so that a search for it succeeds.
func TestQuotedMessagesAreReal(t *testing.T) {
	t.Parallel()
	var sources strings.Builder
	for _, dir := range []string{"components", "stacks", "internal", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || strings.HasSuffix(file, "_test.go") || !slices.Contains([]string{".go", ".sh"}, path.Ext(file)) {
				return err
			}
			text, err := os.ReadFile(file)
			sources.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	foreign := []string{ // messages of Pulumi, Docker, OpenSSH, PostgreSQL and libpq
		"cannot be deleted", "the stack is currently locked", "No such container", "incorrect passphrase",
		"cannot be dropped because some objects depend on it",
		"connection reset", "kex_exchange_identification", "connection refused",
	}
	varies := regexp.MustCompile(`psydge\w*|…|\b\d+\b`)
	messages := regexp.MustCompile(`(?m)^\*\*[^*]*\*\* — `).FindAllString(read(t, "docs/runbook.md"), -1)
	if len(messages) < 10 {
		t.Fatalf("the runbook explains %d messages", len(messages))
	}
	for _, message := range messages {
		for _, quoted := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(message, -1) {
			if slices.Contains(foreign, quoted[1]) {
				continue
			}
			for _, part := range varies.Split(quoted[1], -1) {
				if part = strings.Trim(part, " ,"); !strings.Contains(sources.String(), part) {
					t.Errorf("the runbook explains %q, and no source says %q", quoted[1], part)
				}
			}
		}
	}
}

// "`X` in `FILE`" is how documents say where something stands in the code.
func TestWhatIsInAFileIsThere(t *testing.T) {
	t.Parallel()
	said := regexp.MustCompile("`([^`]+)` in `([a-z]+/[^`]+)`")
	found := 0
	for name := range documents(t) {
		for _, pair := range said.FindAllStringSubmatch(strings.ReplaceAll(read(t, name), "\n", " "), -1) {
			found++
			if !exists(pair[2]) {
				continue // TestPathsExist tells
			}
			text := read(t, pair[2])
			for _, word := range strings.Fields(pair[1]) {
				if !strings.Contains(text, word) {
					t.Errorf("%s: %s is said to be in %s, which does not hold %q", name, pair[1], pair[2], word)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("found %d places", found)
	}
}
