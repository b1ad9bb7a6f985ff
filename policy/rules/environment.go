package rules

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

// variable is one entry of a container's environment.
type variable struct {
	index  int // -1 stands for the whole array
	Key    string
	Value  string
	State  declared.State
	Secret bool
}

// environment returns a container's environment. An array that cannot be read is one
// entry that cannot be read.
func environment(r declared.Resource) []variable {
	envs := r.Props.Get("envs")
	a, state := declared.As[property.Array](envs)
	switch state {
	case declared.Absent:
		return nil
	case declared.Unknown, declared.WrongType:
		return []variable{{index: -1, State: state, Secret: envs.Secret()}}
	case declared.Known:
	}
	vs := make([]variable, 0, a.Len())
	for i, e := range a.All {
		v := variable{index: i, Secret: envs.Secret() || e.Secret()}
		var entry string
		entry, v.State = declared.As[string](e)
		if v.State == declared.Absent {
			continue
		}
		if v.State == declared.Known {
			v.setEntry(entry)
		}
		vs = append(vs, v)
	}
	return vs
}

// unreadableEntries refuses entries that may hold what the rule looks for.
func unreadableEntries(p *ledger.Report, vs []variable, what string) {
	for _, v := range vs {
		if problem := unreadable(v.Path(), v.State); problem != "" {
			p.Add(problem+" and may hold "+what,
				what+" is allocated in the ledger and must be known at preview",
				"Build the entry from plain values and from secrets of the configuration, which are known at preview.")
		}
	}
}

// setEntry reads "KEY=value". An entry of another form is all value.
func (v *variable) setEntry(entry string) {
	key, value, ok := strings.Cut(entry, "=")
	if !ok || strings.Trim(key, keyLetters) != "" || key == "" {
		v.Value = entry
		return
	}
	v.Key, v.Value = key, value
}

const keyLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

// Path is the entry's property path. It names the key unless the entry may be base64,
// a secret from end to end; it never shows the value.
func (v *variable) Path() string {
	if v.index < 0 {
		return "envs"
	}
	path := fmt.Sprintf("envs[%d]", v.index)
	if v.Key != "" && strings.Trim(v.Value, "=") != "" {
		path += " (" + v.Key + ")"
	}
	return path
}

// endpoint is a URL of a data store that a container is given.
type endpoint struct {
	Path string   // property path
	Key  string   // environment key; "" on the command line
	URL  *url.URL // nil when the text cannot be read as a URL
}

// URLs of PostgreSQL and Redis, under every scheme that Django, Celery, Channels and
// Node clients take. A "+driver" may follow.
var (
	postgresURL = regexp.MustCompile(`(?i)\b(?:postgres|postgresql|pgsql|psql|postgis|timescale|timescalegis|pgbouncer)(?:\+[a-z0-9]+)*://`)
	redisURL    = regexp.MustCompile(`(?i)\b(?:redis|rediss|valkey|valkeys|sentinel)(?:\+[a-z0-9]+)*://`)
)

// endpoints returns every URL of the kind in a container's environment and command.
func endpoints(r declared.Resource, variables []variable, kind *regexp.Regexp) []endpoint {
	var es []endpoint
	for _, v := range variables {
		for _, u := range urlsIn(v.Value, kind) {
			es = append(es, endpoint{Path: v.Path(), Key: v.Key, URL: u})
		}
	}
	for _, property := range []string{"command", "entrypoints"} {
		words, _ := declared.ReadStrings(r.Props, property)
		for i, w := range words {
			for _, u := range urlsIn(w, kind) {
				es = append(es, endpoint{Path: fmt.Sprintf("%s[%d]", property, i), URL: u})
			}
		}
	}
	return es
}

// urlsIn finds the URLs of a kind anywhere in a text: alone, in a list, in JSON. One
// that cannot be parsed is nil.
func urlsIn(text string, kind *regexp.Regexp) []*url.URL {
	if !strings.Contains(text, "://") {
		return nil
	}
	starts := kind.FindAllStringIndex(text, -1)
	urls := make([]*url.URL, len(starts))
	for i, at := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		one := text[at[0]:end]
		if cut := strings.IndexAny(one, " \t\r\n\"'`<>"); cut >= 0 {
			one = one[:cut]
		}
		if u, err := url.Parse(strings.TrimRight(one, ",;|")); err == nil {
			urls[i] = u
		}
	}
	return urls
}

// overridden returns the first of the names that the URL's query sets. Clients let
// the query win over the URL's own host, user and database.
func overridden(u *url.URL, names ...string) string {
	for _, pair := range strings.FieldsFunc(u.RawQuery, func(r rune) bool { return r == '&' || r == ';' }) {
		key, _, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(key)
		for _, name := range names {
			if err != nil || strings.EqualFold(strings.TrimSpace(key), name) {
				return name
			}
		}
	}
	return ""
}
