package rules

import (
	"strings"
	"testing"
)

// A look at the places of the words finds what the expression finds anywhere.
func FuzzPattern(f *testing.F) {
	for _, text := range []string{
		"PASSWORD=x", "export psydge_SECRET: 'y'", "api_key \"z", "apikey=", "token", "toKen=a", "Tok\u212aen=b", "to\u212aen=c",
		"user x on >pw", "  user x\n#hash", "\n \n\tUSER a ~* >p", "no user x >y", "acl  setuser psydge on '>pw'", "acl\nsetuser u #p",
		"acl setuser x", "é password=d", "username x >y", strings.Repeat("user ", 9) + ">x",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, p := range map[string]pattern{"assignment": assignment, "aclUser": aclUser} {
			if got, want := p.matches(text), p.anywhere.MatchString(text); got != want {
				t.Errorf("%s in %q: %v, want %v", name, text, got, want)
			}
		}
	})
}
