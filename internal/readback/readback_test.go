package readback

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/alorig/fleet/internal/document"
)

const (
	text   = "psydge.com {\n}\n"
	stored = `{"version":1,"app":"psydge","subject":"psydge.caddy","caddy":"alorig_caddy","directory":"/srv/caddy","file":"psydge.caddy","text":"psydge.com {\n}\n"}`
)

func expected() Expected {
	return Expected{
		Containers: map[string]string{"psydge_backend": "1111111111111111", "psydge_celery_beat": "2222222222222222"},
		Services:   []string{"alorig_redis"},
		Sites:      map[string]string{"psydge.caddy": stored},
		RedisUsers: map[string]string{"psydge": "{}"},
	}
}

func facts() document.Facts {
	return document.Facts{
		Containers: []document.FactContainer{
			{Name: "psydge_backend", ID: "1111111111111111", Runs: true},
			{Name: "psydge_celery_beat", ID: "2222222222222222", Runs: true},
			{Name: "alorig_redis", ID: "3", Runs: true},
		},
		Sites:      map[string]string{"psydge.caddy": fmt.Sprintf("%x", sha256.Sum256([]byte(text))), "igny8.caddy": "ab"},
		RedisUsers: []string{"default", "psydge"},
	}
}

func TestWhatIsThereIsHeldAgainstTheState(t *testing.T) {
	t.Parallel()
	drop := func(name string) func(*document.Facts) {
		return func(f *document.Facts) {
			f.Containers = slices.DeleteFunc(f.Containers, func(c document.FactContainer) bool { return c.Name == name })
		}
	}
	set := func(name string, change func(*document.FactContainer)) func(*document.Facts) {
		return func(f *document.Facts) {
			for i := range f.Containers {
				if f.Containers[i].Name == name {
					change(&f.Containers[i])
				}
			}
		}
	}
	for name, tt := range map[string]struct {
		change  func(*document.Facts)
		stopped string // and what is lost
		says    []string
	}{
		"as expected":          {change: func(*document.Facts) {}},
		"a stopped container":  {set("psydge_celery_beat", func(c *document.FactContainer) { c.Runs = false }), "psydge_celery_beat", nil},
		"a stopped service":    {set("alorig_redis", func(c *document.FactContainer) { c.Runs = false }), "alorig_redis", nil},
		"a missing container":  {drop("psydge_celery_beat"), "missing psydge_celery_beat", nil},
		"a missing service":    {drop("alorig_redis"), "", []string{"alorig_redis: is missing; every app needs the shared services. Bring it back"}},
		"half a handover":      {set("psydge_backend", func(c *document.FactContainer) { c.Name = "psydge_backend_previous"; c.Runs = false }), "", nil},
		"a renamed container":  {set("psydge_backend", func(c *document.FactContainer) { c.Name = "old" }), "", []string{"psydge_backend: is called old; the state has it as psydge_backend. Run `docker rename old psydge_backend`"}},
		"another container":    {set("psydge_backend", func(c *document.FactContainer) { c.ID = "4444444444444444" }), "", []string{"psydge_backend: is another container than the one that the state has; the state has 111111111111, and this is 444444444444. Run `alorig recover`"}},
		"a missing site file":  {func(f *document.Facts) { delete(f.Sites, "psydge.caddy") }, "site file psydge.caddy by put-site", nil},
		"an edited site file":  {func(f *document.Facts) { f.Sites["psydge.caddy"] = "ab" }, "", []string{"site file psydge.caddy: was changed by hand; the state has another text. Move what was changed to the ledger, remove /srv/caddy/sites/psydge.caddy on the server"}},
		"a missing Redis user": {func(f *document.Facts) { f.RedisUsers = []string{"default"} }, "Redis user psydge by put-redis-user", nil},
		"Redis does not run": {func(f *document.Facts) {
			set("alorig_redis", func(c *document.FactContainer) { c.Runs = false })(f)
			f.RedisUsers = nil
		}, "alorig_redis", nil},
		"not all was seen": {func(f *document.Facts) { f.Unseen = []string{"Redis refuses"} }, "", []string{"server: could not be seen in full: Redis refuses"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := facts()
			tt.change(&f)
			d := Compare(expected(), f)
			mends := slices.Clone(d.Stopped)
			for _, name := range d.Missing {
				mends = append(mends, "missing "+name)
			}
			for _, lost := range d.Lost {
				mends = append(mends, lost.Name+" by "+string(lost.Verb))
			}
			if got := strings.Join(mends, " "); got != tt.stopped {
				t.Errorf("stopped: %q, want %q", got, tt.stopped)
			}
			if len(d.Findings) != len(tt.says) {
				t.Fatalf("finds %v, want %q", d.Findings, tt.says)
			}
			for i, want := range tt.says {
				if !strings.HasPrefix(d.Findings[i].String(), want) {
					t.Errorf("finds %q, want %q", d.Findings[i], want)
				}
			}
			if d.None() != (tt.stopped == "" && len(tt.says) == 0) {
				t.Errorf("None says %t", d.None())
			}
		})
	}
}

func TestWhatIsMissingEndsAnUpdate(t *testing.T) {
	t.Parallel()
	f := facts()
	f.Containers = f.Containers[2:]
	d := Compare(expected(), f)
	err := d.Refusal()
	if err == nil || !strings.Contains(err.Error(), "nothing was changed") || !strings.Contains(err.Error(), "- psydge_celery_beat: is missing, and the state has it. Run `alorig recover`") {
		t.Fatalf("it is refused with %v", err)
	}
	d.Expect([]string{"psydge_celery_beat"})
	if err := d.Refusal(); err == nil || strings.Contains(err.Error(), "beat") || !strings.Contains(err.Error(), "psydge_backend") {
		t.Errorf("beside one that an update has removed itself: %v", err)
	}
	d.Expect([]string{"psydge_backend"})
	if err := d.Refusal(); err != nil {
		t.Errorf("what an update has removed itself is refused: %v", err)
	}
}

func TestTheStateIsRead(t *testing.T) {
	t.Parallel()
	e := Of(map[string]Resource{
		"urn:pulumi:prod::alorig::a$docker:index/container:Container::psydge-backend":  {container, map[string]any{"name": "psydge_backend", "id": "1"}},
		"urn:pulumi:prod::alorig::a$docker:index/container:Container::half":            {container, map[string]any{"name": "half"}},
		"urn:pulumi:prod::alorig::a$command:remote:Command::psydge-site":               {"command:remote:Command", map[string]any{"stdin": stored}},
		"urn:pulumi:prod::alorig::a$command:local:Command::snapify-site":               {"command:local:Command", map[string]any{"stdin": "snapify.com {}"}},
		"urn:pulumi:prod::alorig::a$command:remote:Command::psydge-redis-user":         {"command:remote:Command", map[string]any{"stdin": nil}},
		"urn:pulumi:prod::alorig::a$command:remote:Command::psydge-redis-user-settled": {"command:remote:Command", nil},
	})
	if len(e.Containers) != 1 || e.Containers["psydge_backend"] != "1" || len(e.Sites) != 1 || e.Sites["psydge.caddy"] != stored || len(e.RedisUsers) != 1 {
		t.Errorf("%+v", e)
	}
}
