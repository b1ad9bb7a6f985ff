package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var connectionBudget = Rule{
	Name:    "connection-budget",
	Level:   Mandatory,
	Refuses: "a role that logs in without a connection limit or with another than the ledger's, a second login of one role, and limits that together, with the reserved connections and what one handover adds, come above the server's 80",
	Why:     "One app that leaks connections locks all others out. With a limit for each role that cannot happen, and the limits together must fit. A limit has room for the next version of a serving container beside it; only one handover runs at a time, so the largest counts once.",
	Seed:    "§10 upgrade triggers: PostgreSQL connections > 80",
	Unknown: "Refuses: a limit that is not known makes the sum a guess.",
	Remedy:  "Lower `Connections` of a database in `internal/ledger/alorig.go`, or add PgBouncer and raise the server's.",
	Resource: func(f *Fleet, r declared.Resource) []ledger.Finding {
		if !logsIn(r) {
			return nil
		}
		name, _ := declared.Read[string](r.Props, "name")
		p := ledger.Report{Subject: name}
		if name == "" {
			p.Subject = "role " + r.Name
		}
		d, inLedger := f.LoginNamed(name)
		says := "every role that logs in has a limit above zero"
		if inLedger {
			says = fmt.Sprintf("the ledger gives it %d", d.App.ConnectionLimit(d.Database))
		}
		limit, state := declared.ReadInt(r.Props, "connectionLimit")
		switch {
		case state != declared.Known:
			p.Add("has no connectionLimit"+describe(state), says, "Take connectionLimit from the ledger.")
		case limit <= 0 || inLedger && limit != d.App.ConnectionLimit(d.Database):
			p.Add(fmt.Sprintf("has the connection limit %d", limit), says, "Take connectionLimit from the ledger.")
		}
		return p.Findings
	},
	Stack: func(f *Fleet, rs []declared.Resource) []ledger.Finding {
		total, handover := 0, 0
		logins := map[string][]string{} // by the role as which they log in
		for _, r := range f.Reserved {
			total += r.Connections
		}
		for _, r := range rs {
			if !logsIn(r) {
				continue
			}
			// One without a limit is refused by itself; here it must not lower the sum.
			limit, _ := declared.ReadInt(r.Props, "connectionLimit")
			total += max(limit, 0)
			// A limit has room for a handover, and only one of those runs at a time.
			name, _ := declared.Read[string](r.Props, "name")
			d, ok := f.LoginNamed(name)
			if !ok {
				continue
			}
			logins[d.Role] = append(logins[d.Role], name)
			if limit > 0 {
				extra := min(d.App.HandoverConnections(d.Name), limit)
				total -= extra
				handover = max(handover, extra)
			}
		}
		total += handover
		var fs []ledger.Finding
		for _, role := range slices.Sorted(maps.Keys(logins)) {
			if names := logins[role]; len(names) > 1 {
				slices.Sort(names)
				fs = append(fs, ledger.Finding{
					Subject: role, Problem: "has several logins: " + strings.Join(names, ", "),
					Ledger: "the ledger books the connections of a database once", Remedy: "Declare the login of the password in use alone.",
				})
			}
		}
		if total > f.Server.Connections {
			fs = append(fs, ledger.Finding{
				Subject: "server", Problem: fmt.Sprintf("connections come to %d, with those of a handover", total),
				Ledger: fmt.Sprintf("the server has %d (seed §10)", f.Server.Connections), Remedy: "Lower the limits or add PgBouncer.",
			})
		}
		return fs
	},
}

// logsIn reports whether the resource is a role that holds connections, or may.
func logsIn(r declared.Resource) bool {
	on, state := declared.Read[bool](r.Props, "login")
	return r.Type == declared.TypeRole && (on || state == declared.Unknown || state == declared.WrongType)
}
