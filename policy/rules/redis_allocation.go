package rules

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
)

var redisAllocation = Rule{
	Name:    "redis-allocation",
	Level:   Mandatory,
	Refuses: "a Redis URL with another host, user or DB number than the app's own, a Django container without a Redis URL, a key prefix that is missing or foreign in any of its four settings, and an app whose Redis user is not declared or may touch more than the app's own keys, channels and DB",
	Why:     "Redis is shared. Two apps on one DB number read each other's queues, and a DB number alone isolates nothing in publish and subscribe; only the prefix does.",
	Seed:    "§3 Redis DB assignment map, §12 critical rule 4",
	Unknown: "Refuses: an environment entry that is not known may hold a Redis URL, and the permissions of a Redis user must be known.",
	Remedy:  "Take the URL and the four prefix variables from `components.Workload`, which builds them from the ledger, and the user from `components.RedisUser`.",
	Resource: func(f *Fleet, r declared.Resource) []ledger.Finding {
		if strings.HasPrefix(r.Type, "command:") {
			return judgeRedisUsers(f, r)
		}
		if r.Type != declared.TypeContainer {
			return nil
		}
		p := ledger.Report{Subject: containerSubject(r)}
		name := containerName(r)
		c, isApp := f.ContainerNamed(name)
		s, isService := f.ServiceNamed(name)
		variables := environment(r)
		if !isService {
			unreadableEntries(&p, variables, "a Redis URL")
		}
		urls := endpoints(r, variables, redisURL)
		for _, e := range urls {
			switch {
			case isApp:
				judgeRedisURL(f, c.App, e, &p)
			case isService && s.Kind == ledger.Flower:
				judgeRedisHost(f, e, &p) // it watches the queue of whichever app the operator looks at
			default:
				p.Add("holds a Redis URL in "+e.Path, "the ledger gives it no Redis DB", "Drop the URL.")
			}
		}
		if !isApp {
			return p.Findings
		}
		judgeRedisParts(f, c.App, variables, &p)
		unread := slices.ContainsFunc(variables, func(v variable) bool { return v.State != declared.Known })
		django := c.Role != ledger.Payload
		if django && len(urls) == 0 && !unread {
			p.Add("has no Redis URL", fmt.Sprintf("%s has Redis DB %d", c.App.Name, c.App.RedisDB), "Set REDIS_URL.")
		}
		judgePrefixes(c.App, variables, !unread && (django || len(urls) > 0), &p)
		return p.Findings
	},
	Stack: func(_ *Fleet, rs []declared.Resource) []ledger.Finding {
		users := carriedOut(rs, ledger.TypeRedisUser, document.PutRedisUser)
		var fs []ledger.Finding
		for _, r := range ofType(rs, ledger.TypeApp) {
			if app, _ := declared.Read[string](r.Props, "app"); app != "" && !users[app] {
				fs = append(fs, ledger.Finding{
					Subject: app, URN: r.URN, Problem: "has no Redis user",
					Ledger: "every app has a user of its own, who may touch its keys only", Remedy: "Declare components.RedisUser for it.",
				})
			}
		}
		return fs
	},
}

var setUser = regexp.MustCompile(`(?i)\bacl\s+setuser\b`)

// judgeRedisUsers holds the permissions that a command gives Redis users against the
// ledger's. What a user may do decides more than any URL: publish and subscribe ignore
// the DB number, and a key prefix is only a habit of the client.
func judgeRedisUsers(f *Fleet, r declared.Resource) []ledger.Finding {
	p := ledger.Report{Subject: "command " + r.Name}
	if typeOfURN(r.Parent) == ledger.TypeRedisUser {
		judgeRedisDocument(f, r, &p)
	}
	for _, key := range []string{"create", "update", "delete", "stdin"} {
		if text, _ := declared.Read[string](r.Props, key); setUser.MatchString(text) {
			p.Add("sets a Redis user in "+key+" by itself", "each app has the Redis user of its name, and there are no others", "Let components.RedisUser set it.")
		}
	}
	return p.Findings
}

// judgeRedisDocument judges the document from which the server's program makes a user.
func judgeRedisDocument(f *Fleet, r declared.Resource, p *ledger.Report) {
	const remedy = "Let components.RedisUser write the document."
	text, state := declared.Read[string](r.Props, "stdin")
	if state != declared.Known {
		p.Add("has no stdin"+describe(state), "the permissions of a Redis user come from the ledger", remedy)
		return
	}
	var user document.RedisUser
	if _, err := document.Read([]byte(text), document.PutRedisUser, &user); err != nil {
		p.Add("has a stdin that cannot be read: "+err.Error(), "the permissions of a Redis user come from the ledger", remedy)
		return
	}
	app, ok := f.appNamed(user.User)
	if !ok {
		p.Add("makes a Redis user who is no app", "each app has the Redis user of its name, and there are no others", remedy)
		return
	}
	if !slices.Equal(user.Permissions, app.RedisACL()) {
		p.Add("gives the Redis user "+app.Name+" in stdin other permissions than its own", "it has "+strings.Join(app.RedisACL(), " "), remedy)
	}
	if user.Password == "" {
		p.Add("gives the Redis user "+app.Name+" no password", "each Redis user logs in with a password of its own", remedy)
	}
	if s, _ := f.Service(ledger.Redis); user.Redis != s.Container || user.Port != s.Port {
		p.Add("makes the Redis user "+app.Name+" on another server", fmt.Sprintf("Redis is %s:%d", s.Container, s.Port), remedy)
	}
}

func judgeRedisHost(f *Fleet, e endpoint, p *ledger.Report) bool {
	s, _ := f.Service(ledger.Redis)
	says := fmt.Sprintf("Redis is %s:%d", s.Container, s.Port)
	if e.URL == nil {
		p.Add("has a Redis URL in "+e.Path+" that cannot be read", says, "Percent-encode the password.")
		return false
	}
	if !atService(e.URL, s) {
		p.Add("has a Redis URL in "+e.Path+" that points at another server", says, "Point it at "+s.Container+".")
	}
	return true
}

// atService reports whether the URL points at the shared service.
func atService(u *url.URL, s ledger.Service) bool {
	port := u.Port()
	return u.Hostname() == s.Container && (port == "" || port == strconv.Itoa(s.Port))
}

func judgeRedisURL(f *Fleet, a ledger.App, e endpoint, p *ledger.Report) {
	if !judgeRedisHost(f, e, p) {
		return
	}
	says := fmt.Sprintf("%s has Redis DB %d", a.Name, a.RedisDB)
	// Without a path the client takes DB 0, which is another tenant's.
	path := strings.TrimPrefix(e.URL.Path, "/")
	if db, err := strconv.Atoi(path); path != "" && err != nil {
		p.Add("has a Redis URL in "+e.Path+" whose path is no DB number", says, "End the URL in the app's DB number.")
	} else if db != a.RedisDB || path != strconv.Itoa(db) {
		p.Add(fmt.Sprintf("has a Redis URL in %s for DB %d", e.Path, db), says, "End the URL in the app's DB number.")
	}
	if name := overridden(e.URL, "db", "host", "port", "path", "username"); name != "" {
		p.Add("has a Redis URL in "+e.Path+" whose query sets "+name, says+", and clients let the query win", "Drop it from the query.")
	}
	if e.URL.User.Username() != a.Name {
		p.Add("has a Redis URL in "+e.Path+" for another user than the app's", "the user "+a.Name+" may touch its own keys only", "Log in as "+a.Name+".")
	}
}

// judgeRedisParts looks at settings that name a host or a DB number without a URL.
func judgeRedisParts(f *Fleet, a ledger.App, variables []variable, p *ledger.Report) {
	s, _ := f.Service(ledger.Redis)
	for _, v := range variables {
		switch {
		case strings.HasSuffix(v.Key, "REDIS_DB") && v.Value != strconv.Itoa(a.RedisDB):
			p.Add("has another DB number in "+v.Path(), fmt.Sprintf("%s has Redis DB %d", a.Name, a.RedisDB), "Take it from the ledger.")
		case strings.HasSuffix(v.Key, "REDIS_HOST") && v.Value != s.Container:
			p.Add("has another Redis server in "+v.Path(), "Redis is "+s.Container, "Take it from the ledger.")
		}
	}
}

func judgePrefixes(a ledger.App, variables []variable, needed bool, p *ledger.Report) {
	for _, key := range ledger.KeyPrefixVariables {
		found := false
		for _, v := range variables {
			if v.Key != key {
				continue
			}
			found = true
			if v.Value != a.KeyPrefix {
				p.Add("has another key prefix in "+v.Path(), fmt.Sprintf("the prefix of %s is %q", a.Name, a.KeyPrefix), "Take it from the ledger.")
			}
		}
		if !found && needed {
			p.Add("has no "+key, fmt.Sprintf("all its Redis keys start with %q", a.KeyPrefix), "Set "+key+" to the prefix.")
		}
	}
}
