package delivery

import (
	"cmp"
	_ "embed" // the scripts

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/shell"
)

// Place is where a program goes on a server, and what it has to be there. The scripts that
// put it there are for /bin/sh, which reads them on standard input (`/bin/sh -s`): a command
// line that fails is printed whole by the provider, as one escaped line. Each can be killed
// and run again, and never leaves half a program under its name.
type Place struct {
	Directory    string
	SHA256       string // of the program; [BuiltLater] in a preview that builds nothing
	Architecture string // as Go names it
}

// BuiltLater stands for the hash in a preview that builds nothing.
const BuiltLater = "built by the update"

var (
	//go:embed scripts/prepare.sh
	prepare string
	//go:embed scripts/install.sh
	install string
)

// Copy is the path of a program that does not have its name yet. Copying to a path that
// holds the hash can neither meet the program while it runs nor a half copy of another one.
func (p Place) Copy() string {
	sum := "HASH"
	if p.SHA256 != BuiltLater {
		sum = p.SHA256[:min(len(p.SHA256), 16)]
	}
	return ledger.ServerProgram(p.Directory) + "." + sum + ".new"
}

// Prepare is the script that sees that the server can take the program.
func (p Place) Prepare() string { return p.script("", prepare) }

// Install is the script that looks at the copy and gives it the program's name. again says,
// for people, what copies it again.
func (p Place) Install(again string) string { return p.script(again, install) }

// Here is the script that does all of it on the machine that holds the file.
func (p Place) Here(file string) string {
	copying := "is \"$program\" 2>/dev/null || cp " + shell.Word(cmp.Or(file, BuiltLater)) + " \"$copy\"\n"
	return p.script("the update again", prepare+copying+install)
}

// script puts the facts before a text. The braces make the shell read it whole before it
// begins.
func (p Place) script(again, text string) string {
	facts := ""
	for _, fact := range [][2]string{
		{"directory", p.Directory},
		{"program", ledger.ServerProgram(p.Directory)},
		{"copy", p.Copy()},
		{"sha256", p.SHA256},
		{"architecture", p.Architecture},
		{"again", again},
	} {
		facts += fact[0] + "=" + shell.Word(fact[1]) + "\n"
	}
	return "{\n" + facts + head + text + "}\n"
}

const head = `set -eu
umask 022
fail() { printf '%s\n' "$1" >&2; exit 1; }
is() { [ "$(sha256sum <"$1" | cut -c 1-64)" = "$sha256" ]; }
`
