package ledger

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Check holds the ledger against every rule of allocation and budget and returns
// all that is wrong with it, sorted; none for a sound ledger.
func (l Ledger) Check() []Finding {
	var report Report
	for _, check := range []func(Ledger, *Report){checkNames, checkUnique, checkConnections, checkMemory, checkRouting} {
		check(l, &report)
	}
	return SortFindings(report.Findings)
}

func checkNames(l Ledger, report *Report) {
	for _, a := range l.Apps {
		if !appNamePattern.MatchString(a.Name) {
			report.About("container-name", strconv.Quote(a.Name)).Add("is no app name", "two to 31 lower-case letters and digits, a letter first", "Rename the app.")
		}
		if a.KeyPrefix != a.Name+":" {
			report.About("redis-allocation", a.Name).Add(fmt.Sprintf("has the key prefix %q", a.KeyPrefix), fmt.Sprintf("an app's prefix is its name and a colon: %q", a.Name+":"), "Correct KeyPrefix.")
		}
		for _, d := range a.Databases {
			if !databasePattern.MatchString(d.Name) || !strings.HasPrefix(d.Name, a.Name+"_") {
				report.About("database-allocation", d.Name).Add("is no database name of "+a.Name, "the app's name, an underscore, and \"_db\" at the end", "Rename the database.")
			}
			if !rolePattern.MatchString(d.Role) || (d.Role != a.Name && !strings.HasPrefix(d.Role, a.Name+"_")) {
				report.About("database-allocation", d.Name).Add(fmt.Sprintf("is owned by the role %q", d.Role), "an owner is named after its app, in 58 characters at most", "Rename the role.")
			}
			if owner := loginOwner(d.Role); owner != "" && slices.ContainsFunc(a.Databases, func(other Database) bool { return other.Role == owner }) {
				report.About("database-allocation", d.Name).Add(fmt.Sprintf("is owned by the role %q", d.Role), "names of this form are those of logins of the role "+owner, "Rename the role.")
			}
		}
		for _, c := range a.Containers {
			name := ContainerName(a.Name, c.Role)
			if !slices.Contains([]Role{Backend, Channels, Payload, Worker, Beat}, c.Role) {
				report.About("container-name", name).Add(fmt.Sprintf("has the role %q", c.Role), "backend, channels, payload, celery_worker or celery_beat; frontends are static files under Caddy (seed §3)", "Correct Role.")
			}
			if c.Role.Serves() != (c.Port > 0) || c.Port < 0 || c.Port > 65535 {
				report.About("port-allocation", name).Add(fmt.Sprintf("has port %d", c.Port), "backend, channels and payload have a port from 1 to 65535, the others have none", "Correct Port.")
			}
			if _, ok := a.Database(c.Database); !ok {
				report.About("database-allocation", name).Add(fmt.Sprintf("uses the database %q", c.Database), a.Name+" has "+strings.Join(databaseNames(a), ", "), "Correct Database.")
			}
		}
	}
}

func databaseNames(a App) []string {
	names := make([]string, len(a.Databases))
	for i, d := range a.Databases {
		names[i] = d.Name
	}
	return names
}

// checkUnique refuses everything that is allocated twice.
func checkUnique(l Ledger, report *Report) {
	taken := map[string]string{}
	claim := func(rule, kind, value, owner string) {
		key := kind + " " + value
		if first, ok := taken[key]; ok {
			report.About(rule, owner).Add("takes "+key+", which "+first+" has", "each "+kind+" is allocated once",
				"Give "+owner+" a free one; `bin/alorig ledger` lists those taken.")
			return
		}
		taken[key] = owner
	}
	for _, tenant := range l.Reserved {
		claim("container-name", "name", tenant.Name, tenant.Name)
		for _, c := range tenant.Containers {
			claim("container-name", "container name", c, tenant.Name)
		}
		if tenant.Port != 0 {
			claim("port-allocation", "port", strconv.Itoa(tenant.Port), tenant.Name)
		}
		if tenant.RedisDB != nil {
			claim("redis-allocation", "Redis DB", strconv.Itoa(*tenant.RedisDB), tenant.Name)
		}
	}
	for _, s := range l.Services {
		claim("container-name", "container name", s.Container, s.Container)
		claim("port-allocation", "port", strconv.Itoa(s.Port), s.Container)
		for _, p := range s.HostPorts {
			claim("host-port", "host port", strconv.Itoa(p), s.Container)
		}
	}
	for _, a := range l.Apps {
		claim("container-name", "name", a.Name, a.Name)
		claim("redis-allocation", "Redis DB", strconv.Itoa(a.RedisDB), a.Name)
		claim("redis-allocation", "key prefix", a.KeyPrefix, a.Name)
		for _, d := range a.Databases {
			claim("database-allocation", "database", d.Name, a.Name)
			claim("database-allocation", "database role", d.Role, a.Name)
		}
		for _, c := range a.Containers {
			name := ContainerName(a.Name, c.Role)
			claim("container-name", "container name", name, name)
			if c.Port != 0 {
				claim("port-allocation", "port", strconv.Itoa(c.Port), name)
			}
		}
	}
}

// HandoverConnections is what a handover adds to the connections of a database: those of
// the next version of one serving container, the one that holds most.
func (a App) HandoverConnections(database string) int {
	most := 0
	for _, c := range a.Containers {
		if c.Database == database && c.Role.Serves() {
			most = max(most, c.Connections)
		}
	}
	return most
}

// ConnectionLimit is the connection limit of the role that logs in to the database: its share and
// what a handover adds. PostgreSQL cannot raise a limit for a while, so the sum is set.
func (a App) ConnectionLimit(d Database) int {
	return d.Connections + a.HandoverConnections(d.Name)
}

// ConnectionTotal is what the server's PostgreSQL must be able to hold: all shares and
// reservations, and what the largest handover adds. Only one runs at a time.
func (l Ledger) ConnectionTotal() int {
	sum, handover := 0, 0
	for _, r := range l.Reserved {
		sum += r.Connections
	}
	for _, a := range l.Apps {
		for _, d := range a.Databases {
			sum += d.Connections
			handover = max(handover, a.HandoverConnections(d.Name))
		}
	}
	return sum + handover
}

func checkConnections(l Ledger, report *Report) {
	for _, a := range l.Apps {
		for _, d := range a.Databases {
			needed := 0
			for _, c := range a.Containers {
				if c.Database == d.Name {
					needed += c.Connections
				}
			}
			switch {
			case d.Connections <= 0:
				report.About("connection-budget", d.Name).Add(fmt.Sprintf("its role %s has the connection limit %d", d.Role, d.Connections), "every role has a positive limit", "Set Connections.")
			case needed > d.Connections:
				report.About("connection-budget", d.Name).Add(fmt.Sprintf("its containers hold up to %d connections", needed), fmt.Sprintf("its role %s may hold %d", d.Role, d.Connections), "Run fewer processes or raise Connections.")
			}
		}
	}
	if total := l.ConnectionTotal(); total > l.Server.Connections {
		report.About("connection-budget", "server").Add(fmt.Sprintf("connections come to %d, with those of a handover", total), fmt.Sprintf("the server has %d (seed §10)", l.Server.Connections), "Lower the limits or add PgBouncer.")
	}
}
