package settings

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"github.com/alorig/fleet/internal/shell"
)

// namespaces are those of the providers and of Pulumi itself. This program configures its
// providers explicitly, so their keys change nothing here, and nobody minds them.
var namespaces = []string{"cloudflare", "command", "docker", "postgresql", "pulumi"}

// strays reports the keys that nothing reads.
func (p *parser) strays() {
	for _, full := range slices.Sorted(maps.Keys(p.config.others)) {
		namespace, name, _ := strings.Cut(full, ":")
		stray := Problem{Key: full, Problem: "is read by nothing", Accepts: "the keys that Pulumi.yaml describes"}
		rm := "pulumi config rm " + shell.Word(full)
		switch meant := p.meant(namespace, name); {
		case namespace != Project && meant == "":
			continue
		case meant == full: // the path stands in the key
			stray.Problem = "was set without --path: it is a key of its own, which is read by nothing"
			if p.config.has(name) {
				stray.Remedy = rm
				break
			}
			stray.Remedy = "pulumi config get " + shell.Word(full) + " | pulumi config set --path " + shell.Word(full) + " && " + rm
			if p.config.others[full].kind == encrypted {
				stray.Remedy = strings.Replace(stray.Remedy, "set --path", "set --secret --path", 1)
			}
		case meant != "":
			stray.Problem += "; did you mean " + meant + "?"
			if ours, isOurs := strings.CutPrefix(meant, Project+":"); isOurs && p.config.has(ours) {
				stray.Remedy = rm
				break
			}
			// What is encrypted stays encrypted, and an object an object.
			stray.Remedy = fmt.Sprintf("rename it in %s: %s becomes %s", cmp.Or(p.config.file, "the stack file"), full, meant)
		default:
			stray.Problem += "; is it misspelt?"
			stray.Remedy = rm
			if p.config.others[full].kind == encrypted {
				stray.Remedy = "keep what `pulumi config get " + shell.Word(full) + "` shows; then " + rm
			}
		}
		p.problems = append(p.problems, stray)
	}
}

// meant is the key that a key which nothing reads was probably meant to be; "" when there
// is none.
func (p *parser) meant(namespace, name string) string {
	if namespace == Project {
		if i := strings.IndexAny(name, ".["); i > 0 {
			if f, known := schema[name[:i]]; known && (f == objectForm || f == listForm) {
				return Project + ":" + name
			}
		}
		if near := nearest(name, Known()); near != "" {
			return Project + ":" + near
		}
		return ""
	}
	if slices.Contains(namespaces, namespace) {
		return ""
	}
	if near := nearest(namespace, append([]string{Project}, namespaces...)); near != "" {
		if near == Project {
			name = cmp.Or(nearest(name, Known()), name)
		}
		return near + ":" + name
	}
	return ""
}

// nearest returns the candidate of which the word is a misspelling; "" when none is near.
func nearest(word string, candidates []string) string {
	best, at := "", 0
	for _, candidate := range candidates {
		if candidate == word {
			return candidate
		}
		// Capitals written otherwise count little.
		d := 2 * levenshtein.Distance(strings.ToLower(word), strings.ToLower(candidate), nil)
		if d == 0 {
			d = 1
		}
		if d <= 2*((len(candidate)+2)/3) && (best == "" || d < at) {
			best, at = candidate, d
		}
	}
	return best
}

// misspelt returns the member of which a missing one may be a misspelling: one that is set,
// and that nothing reads.
func misspelt(missing string, given map[string]value, known []string) string {
	if v, found := given[missing]; found && !v.unset() {
		return "" // nobody asks for another; to look each time would make many apps slow
	}
	var strange []string
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(known, name) && !given[name].unset() {
			strange = append(strange, name)
		}
	}
	return nearest(missing, strange)
}
