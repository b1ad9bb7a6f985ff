package settings

import (
	"fmt"
	"strings"

	"github.com/alorig/fleet/internal/shell"
	"github.com/alorig/fleet/internal/terminal"
)

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	Key     string `json:"key"`     // with its path: alorig:zones["psydge.com"]
	Problem string `json:"problem"` // never holds the value of a secret
	Accepts string `json:"accepts"`
	Remedy  string `json:"remedy"` // touches nothing but what is at fault
}

// Error holds every problem of the configuration at once.
type Error struct{ Problems []Problem }

// Error lists the problems, each with its remedy.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Summary() + ":")
	for _, p := range e.Problems {
		// A key and its members come from a file, and could fake a line or move the cursor.
		fmt.Fprintf(&b, "\n- %s\n    %s", terminal.Line(fmt.Sprintf("%s %s; accepted: %s", p.Key, p.Problem, p.Accepts)), terminal.Line(p.Remedy))
	}
	return b.String()
}

// Summary says how many problems there are, on one line.
func (e *Error) Summary() string {
	if len(e.Problems) == 1 {
		return "1 setting must be set or corrected"
	}
	return fmt.Sprintf("%d settings must be set or corrected", len(e.Problems))
}

// nested reports a path that leads into a key's value.
func nested(path string) bool { return strings.ContainsAny(path, ".[") }

// set is the command that sets a plain value. The example stands in it as a shell reads it.
func set(path, example string) string { return setting("", path) + " " + example }

// setText sets a member to a text that could be taken for a number: Pulumi stores the
// digits of a member as a number unless it is told otherwise.
func setText(path, example string) string { return setting("--type string ", path) + " " + example }

// setSecret is the command that sets a secret. It asks for the value, which then stands in
// no shell's history.
func setSecret(path string) string {
	if path == "sshPrivateKey" { // several lines are not typed at a prompt
		return setting("--secret ", path) + " < ~/.ssh/alorig"
	}
	return setting("--secret ", path)
}

func setting(flags, path string) string {
	if nested(path) {
		flags += "--path "
	}
	return "pulumi config set " + flags + shell.Word(Project+":"+path)
}

// remove is the command that removes a value.
func remove(path string) string {
	if nested(path) {
		return "pulumi config rm --path " + shell.Word(Project+":"+path)
	}
	return "pulumi config rm " + shell.Word(Project+":"+path)
}

// keepAndRemove is the advice for a value that is of no use where it is, though somebody
// may need it again: what is encrypted cannot be read from the file.
func keepAndRemove(path, then string) string {
	flag := ""
	if nested(path) {
		flag = "--path "
	}
	return "keep what `pulumi config get " + flag + shell.Word(Project+":"+path) + "` shows; then " + remove(path) + ", and " + then
}
