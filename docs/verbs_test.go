package docs

import (
	"regexp"
	"strings"
	"testing"
)

// Every verb and every flag that a document shows is one of the command.
func TestVerbsExist(t *testing.T) {
	t.Parallel()
	call := regexp.MustCompile("(?:^|[|&;(`]) *(?:bin/)?alorig +([a-z]+)((?: +--?[a-z-]+(?:[= ][^-\\s|&;]\\S*)?)*)")
	flag := regexp.MustCompile(` --([a-z][a-z-]*)`)
	seen := map[string]string{} // help by verb
	for name, d := range documents(t) {
		for _, piece := range code(d) {
			for _, found := range call.FindAllStringSubmatch(piece, -1) {
				verb := found[1]
				help, asked := seen[verb]
				if !asked {
					help, _ = alorig(t, verb, "--help")
					seen[verb] = help
				}
				if !strings.Contains(help, "alorig "+verb) {
					t.Errorf("%s: `%s`: there is no such verb", name, strings.TrimSpace(found[0]))
					continue
				}
				for _, given := range flag.FindAllStringSubmatch(found[2], -1) {
					if !strings.Contains(help, "--"+given[1]) {
						t.Errorf("%s: `%s`: alorig %s has no flag --%s", name, strings.TrimSpace(found[0]), verb, given[1])
					}
				}
			}
		}
	}
	if len(seen) < 4 {
		t.Errorf("the documents name the verbs %v", seen)
	}
}
