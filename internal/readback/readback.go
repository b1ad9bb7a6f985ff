// Package readback compares what Pulumi's state says is on the server with what is there. An
// update changes only what differs from the state, so what somebody has stopped or removed
// would stay so, and the update would call it unchanged.
//
// It looks at containers, site files and Redis users. What only a refresh can see, the
// provider's resources in PostgreSQL and at Cloudflare, it leaves to `pulumi refresh`.
package readback

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
)

// Expected is what the state says, and what every update needs.
type Expected struct {
	Containers map[string]string // IDs by name, of the state
	Services   []string          // shared services that another project makes
	// Sites and RedisUsers are what the state has, with the documents that put them there, by
	// the name of the file and of the user. A document is "" where it cannot be read: it is
	// encrypted.
	Sites, RedisUsers map[string]string
}

// Difference is what is there, held against what is expected.
type Difference struct {
	// Stopped are containers that are there and do not run. Starting them is all it takes.
	Stopped []string `json:"stopped"`
	// Missing are containers that the state has and the server has not.
	Missing []string `json:"missing"`
	// Lost are site files and Redis users that are missing. Putting them there again, as the
	// state has them, is all it takes.
	Lost []Lost `json:"lost"`
	// Findings are what needs a decision or another command.
	Findings []ledger.Finding `json:"findings"`
}

// Lost is what is missing, and what puts it there.
type Lost struct {
	Name     string        `json:"name"`
	Verb     document.Verb `json:"-"`
	Document string        `json:"-"` // may hold secrets
}

// None reports that all is as expected.
func (d Difference) None() bool {
	return len(d.Stopped)+len(d.Missing)+len(d.Lost)+len(d.Findings) == 0
}

// Refusal is the error that ends an update before it changes anything; nil when there is nothing
// that an update cannot mend.
func (d Difference) Refusal() error {
	if len(d.Findings)+len(d.Missing) == 0 {
		return nil
	}
	var lines []string
	for _, f := range d.Findings {
		lines = append(lines, "- "+f.String())
	}
	for _, name := range d.Stopped {
		lines = append(lines, fmt.Sprintf("- %s: does not run. The next update starts it.", name))
	}
	for _, name := range d.Missing {
		lines = append(lines, fmt.Sprintf("- %s: %s", name, Refresh))
	}
	for _, lost := range d.Lost {
		lines = append(lines, fmt.Sprintf("- %s: is missing. The next update puts it there again.", lost.Name))
	}
	return fmt.Errorf("the server is not as the state of this stack says, and nothing was changed:\n%s", strings.Join(lines, "\n"))
}

// Expect takes containers off those that are missing: an update has removed them itself, to make
// them anew, and failed in between. The next one makes them.
func (d *Difference) Expect(removed []string) {
	d.Missing = slices.DeleteFunc(d.Missing, func(name string) bool { return slices.Contains(removed, name) })
}

// Nothing reports that nothing is expected, as before the first update.
func (e Expected) Nothing() bool {
	return len(e.Containers)+len(e.Services)+len(e.Sites)+len(e.RedisUsers) == 0
}

// Refresh says of a missing container what mends it. Not `pulumi up --refresh`: the program is
// asked before what that has seen is in the state (tried with Pulumi 3.259).
const Refresh = "is missing, and the state has it. Run `alorig recover` or `pulumi refresh`, which see that it is gone, and the update again, which makes it."

// Compare holds the facts against what is expected. The answer is sorted.
func Compare(e Expected, f document.Facts) Difference {
	d := Difference{Stopped: []string{}, Missing: []string{}, Lost: []Lost{}, Findings: []ledger.Finding{}}
	byName, byID := map[string]document.FactContainer{}, map[string]document.FactContainer{}
	for _, c := range f.Containers {
		byName[c.Name], byID[c.ID] = c, c
	}
	for _, name := range slices.Sorted(maps.Keys(e.Containers)) {
		d.container(name, e.Containers[name], byName, byID)
	}
	for _, name := range slices.Sorted(slices.Values(e.Services)) {
		c, there := byName[name]
		switch {
		case !there:
			d.add(name, "is missing", "every app needs the shared services", "Bring it back (docs/runbook.md, What Phase 0 must provide), and run the update again.")
		case !c.Runs:
			d.Stopped = append(d.Stopped, name)
		}
	}
	for _, file := range slices.Sorted(maps.Keys(e.Sites)) {
		hash, there := f.Sites[file]
		var site document.Site
		switch _, err := document.Read([]byte(e.Sites[file]), document.RemoveSite, &site); {
		case !there:
			d.Lost = append(d.Lost, Lost{"site file " + file, document.PutSite, e.Sites[file]})
		case err == nil && hash != fmt.Sprintf("%x", sha256.Sum256([]byte(site.Text))):
			d.add("site file "+file, "was changed by hand", "the state has another text",
				fmt.Sprintf("Move what was changed to the ledger, remove %s on the server, and run the update again, which puts the file there.", path.Join(ledger.SitesDirectory(site.Directory), file)))
		}
	}
	for _, user := range slices.Sorted(maps.Keys(e.RedisUsers)) {
		if f.RedisUsers != nil && !slices.Contains(f.RedisUsers, user) {
			d.Lost = append(d.Lost, Lost{"Redis user " + user, document.PutRedisUser, e.RedisUsers[user]})
		}
	}
	for _, what := range f.Unseen {
		d.add("server", "could not be seen in full: "+what, "an update needs to know what is there", "Mend that, and run the update again.")
	}
	return d
}

func (d *Difference) container(name, id string, byName, byID map[string]document.FactContainer) {
	c, there := byID[id]
	other, taken := byName[name]
	switch {
	case there && !c.Runs && c.Name == name:
		d.Stopped = append(d.Stopped, name)
	case there && (c.Name == name || c.Name == ledger.PreviousName(name)):
		// As it should be, or set aside in a handover that was cut short: the next one settles that.
	case there:
		d.add(name, "is called "+c.Name, "the state has it as "+name, fmt.Sprintf("Run `docker rename %s %s` on the server, and the update again.", c.Name, name))
	case taken:
		d.add(name, "is another container than the one that the state has", "the state has "+short(id)+", and this is "+short(other.ID),
			"Run `alorig recover`, which tells whose it is.")
	default:
		d.Missing = append(d.Missing, name)
	}
}

func (d *Difference) add(subject, problem, says, remedy string) {
	d.Findings = append(d.Findings, ledger.Finding{Subject: subject, Problem: problem, Ledger: says, Remedy: remedy})
}

// short is the beginning of an ID, as Docker prints it.
func short(id string) string { return id[:min(len(id), 12)] }
