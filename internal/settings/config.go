package settings

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/terminal"
)

// Config is the configuration of a stack before it is judged. It is a value: what changes
// it returns another.
type Config struct {
	Directory string // of the project, absolute; "" if it comes from no file

	values map[string]value // of the keys of the schema
	others map[string]value // what nothing reads, with its namespace
	// inherited are the keys that the stack leaves to the defaults of Pulumi.yaml.
	inherited map[string]bool
	// decrypted tells that nothing is encrypted any more, as in a running program: what
	// is missing then is missing.
	decrypted bool
	file      string // where it comes from, for people; "" if from nowhere in particular
}

// FromContext reads the configuration that a program was given.
//
// Pulumi marks an object as secret when one member is. Which members are encrypted, and
// which keys there are that nobody asks for, only the stack file shows. So it is read too;
// when the settings do not come from it (--config-file, an environment), the program says
// what it could not see.
func FromContext(ctx *pulumi.Context) Config {
	c := Given(ctx.GetConfig, ctx.IsConfigSecret)
	// A language host that is older than the Pulumi engine names no directory, and starts the
	// program in it or below.
	if file, err := Open(ctx.RootDirectory(), ctx.Stack()); err == nil {
		c = c.beside(file, ctx.GetConfig)
	}
	var paths []string
	for _, key := range Known() {
		paths = append(paths, c.values[key].unseen(key)...)
	}
	if len(paths) > 0 {
		// A warning that cannot be shown is no reason to stop.
		_ = ctx.Log.Warn(fmt.Sprintf("%d values of %s: do not stand so in the stack's file, so it is not known whether each of them is kept encrypted (%s%s); `alorig check` judges the file",
			len(paths), Project, terminal.Line(Project+":"+paths[0]), map[bool]string{true: ", …"}[len(paths) > 1]), nil)
	}
	return c
}

// Given is a configuration as Pulumi hands it to a program: get returns the value of a key
// with its namespace, structured values as JSON; isSecret tells whether it holds anything
// encrypted.
func Given(get func(key string) (string, bool), isSecret func(key string) bool) Config {
	c := Config{values: map[string]value{}, decrypted: true}
	for key, form := range schema {
		full := Project + ":" + key
		text, set := get(full)
		if !set {
			continue
		}
		v := value{kind: words, text: text}
		switch {
		case !isSecret(full):
		case form == objectForm || form == listForm:
			v.stored = unseen
		default:
			v.stored = sealed
		}
		if form == objectForm || form == listForm {
			if decoded, err := decode(text, v.stored); err == nil && decoded.kind != words {
				v = decoded
			}
		}
		c.values[key] = v
	}
	return c
}

// beside adds what the stack file shows of the configuration that a program was given.
func (c Config) beside(file Config, get func(key string) (string, bool)) Config {
	c.file, c.inherited, c.values, c.others = file.file, file.inherited, maps.Clone(c.values), map[string]value{}
	for key, v := range c.values {
		stands := file.values[key]
		if (stands.kind == words || stands.kind == encrypted) && v.kind != words && !v.empty() {
			c.values[key] = stands // an object that is written as one text
			continue
		}
		c.values[key] = v.beside(stands)
	}
	for full, v := range file.others {
		if _, ours := get(full); ours {
			c.others[full] = v
		}
	}
	return c
}

// With returns the configuration with one value replaced, as it would stand in the file in
// plain text. The key has no namespace.
func (c Config) With(key string, v any) Config {
	replaced := value{kind: words}
	if text, ok := v.(string); ok {
		replaced.text = text
	} else {
		encoded, err := json.Marshal(v)
		if err == nil {
			replaced, err = decode(string(encoded), plain)
		}
		if err != nil {
			panic(fmt.Sprintf("settings: %s cannot be set to a %T: %v", key, v, err)) // a mistake of the caller
		}
	}
	if _, known := schema[key]; known {
		c.values = maps.Clone(c.values)
		if c.values == nil {
			c.values = map[string]value{}
		}
		c.values[key] = replaced
		return c
	}
	c.others = maps.Clone(c.others)
	if c.others == nil {
		c.others = map[string]value{}
	}
	if !strings.Contains(key, ":") {
		key = Project + ":" + key
	}
	c.others[key] = replaced
	return c
}

// has reports whether the stack itself sets something at a path.
func (c Config) has(path string) bool {
	root, rest := path, ""
	if i := strings.IndexAny(path, ".["); i > 0 {
		root, rest = path[:i], path[i:]
	}
	if c.inherited[root] {
		return false
	}
	v := c.values[root]
	for rest != "" && !v.unset() {
		found := false
		for name, m := range v.members {
			if step := member("", name); strings.HasPrefix(rest, step) {
				if after := rest[len(step):]; after == "" || after[0] == '.' || after[0] == '[' {
					v, rest, found = m, after, true
					break
				}
			}
		}
		for i, element := range v.row {
			if step := index("", i); strings.HasPrefix(rest, step) {
				v, rest, found = element, rest[len(step):], true
				break
			}
		}
		if !found {
			return false
		}
	}
	return !v.unset()
}
