package readback

import (
	"strings"

	"github.com/alorig/fleet/internal/document"
)

// Resource is a resource of Pulumi's state, with what it has put out.
type Resource struct {
	Type    string
	Outputs map[string]any
}

// The types of resources that are looked at, and the ends of the names of the commands that
// put a site file and a Redis user there.
const (
	container = "docker:index/container:Container"
	command   = "command:"
	site      = "-site"
	redisUser = "-redis-user"
)

// Of is what a state says is on the server, by URN.
func Of(state map[string]Resource) Expected {
	e := Expected{Containers: map[string]string{}, Sites: map[string]string{}, RedisUsers: map[string]string{}}
	for urn, r := range state {
		name := urn[strings.LastIndex(urn, "::")+len("::"):]
		switch {
		case r.Type == container:
			if id := r.text("id"); id != "" {
				e.Containers[r.text("name")] = id
			}
		case strings.HasPrefix(r.Type, command) && strings.HasSuffix(name, site):
			var file document.Site
			// What an older update has stored may be no document.
			if _, err := document.Read([]byte(r.text("stdin")), document.RemoveSite, &file); err == nil {
				e.Sites[file.File] = r.text("stdin")
			}
		case strings.HasPrefix(r.Type, command) && strings.HasSuffix(name, redisUser):
			e.RedisUsers[strings.TrimSuffix(name, redisUser)] = r.text("stdin")
		}
	}
	return e
}

func (r Resource) text(key string) string {
	text, _ := r.Outputs[key].(string)
	return text
}
