package ledger

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestPatterns(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		pattern   *regexp.Regexp
		good, bad []string
	}{
		{
			"app", appNamePattern,
			[]string{"psydge", "asms", "app7", "ab", strings.Repeat("a", 31)},
			[]string{"", "a", "7app", "my_app", "my-app", "Psydge", "psydge\n", " psydge", strings.Repeat("a", 32), "äpp"},
		},
		{
			"host", hostNamePattern,
			[]string{"psydge.com", "api.schools.alorig.com", "*.sites.alorig.com", "a-b.example.museum", "1.psydge.com"},
			[]string{"", "psydge", "psydge.com.", ".psydge.com", "-a.psydge.com", "a-.psydge.com", "a.*.com", "*psydge.com", "Psydge.com", "a b.com", "psydge.c", "psydge.com\n", "psydge.com{", strings.Repeat("a", 64) + ".com"},
		},
		{
			"path", pathPattern,
			[]string{"/builder", "/a/b", "/a-b_c.d"},
			[]string{"", "/", "builder", "/builder/", "//", "/..", "/a/../b", "/A", "/a b", "/a*", "/a\n"},
		},
		{
			"static build", staticPattern,
			[]string{"web", "admin-2"},
			[]string{"", "..", "web/x", "Web", "2web", "web\n"},
		},
		{
			"database", databasePattern,
			[]string{"psydge_db", "sitebuilder_payload_db"},
			[]string{"", "_db", "psydge", "psydge_DB", "psydge-db", "psydge_db;", strings.Repeat("a", 61) + "_db"},
		},
		{
			"role", rolePattern,
			[]string{"psydge", "sitebuilder_payload"},
			[]string{"", "Psydge", "psydge-x", `psydge"`, strings.Repeat("a", 64)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, s := range tt.good {
				if !tt.pattern.MatchString(s) {
					t.Errorf("refuses %q", s)
				}
			}
			for _, s := range tt.bad {
				if tt.pattern.MatchString(s) {
					t.Errorf("accepts %q", s)
				}
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ got, want string }{
		{ContainerName("psydge", Backend), "psydge_backend"},
		{ContainerName("psydge", Worker), "psydge_celery_worker"},
		{NextName("psydge_backend"), "psydge_backend_next"},
		{PreviousName("psydge_backend"), "psydge_backend_previous"},
		{MigrationName("psydge"), "psydge_migrate"},
		{WorkerNode("psydge"), "psydge@psydge_celery_worker"},
		{Logical("psydge"), "psydge"},
		{Logical("psydge", "celery_beat"), "psydge-celery-beat"},
		{Logical("sitebuilder", "dns", "*.sites.alorig.com"), "sitebuilder-dns-wildcard.sites.alorig.com"},
		{Logical("alorig", "a/b"), "alorig-a-b"},
		{SiteFile("psydge"), "psydge.caddy"},
		{StaticRoot("psydge", "web"), "/srv/static/psydge/web"},
		{Volume("alorig_redis"), "alorig_redis_data"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}

// A login is named after its role and its password, so that a new password makes a new one.
func TestLoginRoles(t *testing.T) {
	t.Parallel()
	// The digits stand in the state of every stack: the way they are made must not change.
	if got, want := LoginRole("psydge", "c4n4ry"), "psydge_d38b"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for name, other := range map[string]string{
		"password": LoginRole("psydge", "c4n4rY"), "role": LoginRole("snapify", "c4n4ry"), "none": LoginRole("psydge", ""),
	} {
		if digits := LoginRole("psydge", "c4n4ry")[len("psydge"):]; strings.HasSuffix(other, digits) {
			t.Errorf("another %s has the same digits: %s", name, other)
		}
	}
	if longest := LoginRole("p"+strings.Repeat("x", 57), "c4n4ry"); len(longest) != 63 {
		t.Errorf("a login of the longest role has %d bytes", len(longest))
	}
	x := NewIndex(Alorig())
	for login, want := range map[string]string{
		LoginRole("psydge", "c4n4ry"): "psydge", LoginRole("sitebuilder_payload", "c4n4ry"): "sitebuilder_payload",
		"psydge": "", "psydge_": "", "psydge_00g0": "", "psydge_000": "", "psydge_00000": "", "_0000": "", "nobody_0000": "", "": "",
	} {
		if d, ok := x.LoginNamed(login); d.Role != want || ok != (want != "") {
			t.Errorf("%q logs in to %q, want %q", login, d.Role, want)
		}
	}
}

func TestServingRoles(t *testing.T) {
	t.Parallel()
	for role, serves := range map[Role]bool{Backend: true, Channels: true, Payload: true, Worker: false, Beat: false, "frontend": false} {
		if role.Serves() != serves {
			t.Errorf("%s serves: %v", role, role.Serves())
		}
	}
}

// The rule that was tried on a live Redis 7: one permission too
// many and apps see each other, one too few and Celery does not start.
func TestRedisACL(t *testing.T) {
	t.Parallel()
	app, _ := Alorig().App("psydge")
	want := []string{
		"~psydge:*", "&psydge:*",
		"&psydge:/2.celery.pidbox", "&psydge:/2.celeryev/worker.*",
		"+@all", "-@dangerous", "-select", "+select|2",
		"-scan", "-randomkey", "-dbsize", "-move", "-copy", "-function", "-script|flush", "-script|kill", "-pubsub", "-client|tracking",
	}
	if got := app.RedisACL(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, a := range Alorig().Apps {
		for _, word := range a.RedisACL() {
			// Each word is an argument of its own: ACL SETUSER splits at spaces.
			if strings.ContainsAny(word, " \n") {
				t.Errorf("%s: %q is two words", a.Name, word)
			}
			if (word[0] == '~' || word[0] == '&') && !strings.HasPrefix(word[1:], a.KeyPrefix) {
				t.Errorf("%s: %q lies outside %q", a.Name, word, a.KeyPrefix)
			}
		}
	}
}
