package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var databaseAllocation = Rule{
	Name:    "database-allocation",
	Level:   Mandatory,
	Refuses: "a PostgreSQL URL, database, role, grant or extension outside the app's own, an app container without a database URL, a role that could reach beyond its database, an owner that logs in, and a login role that is not named after its password",
	Why:     "One PostgreSQL serves all apps. Each has its own database, owned by its own role, and nobody else's role may enter it. A role that is named after its password logs in as the owner: a new password is a new role beside the old one, and no request fails while containers change from one to the other.",
	Seed:    "§3 shared deployment pattern, §12 critical rule 3",
	Unknown: "Refuses: an environment entry, a name or an owner that is not known may be another app's.",
	Remedy:  "Declare databases through `components.Database` and take the URL from `components.Workload`. A new database, role or extension is an entry in `internal/ledger/alorig.go` first.",
	Resource: func(f *Fleet, r declared.Resource) []ledger.Finding {
		p := ledger.Report{Subject: r.Name}
		switch r.Type {
		case declared.TypeContainer:
			p.Subject = containerSubject(r)
			judgeDatabaseURLs(f, r, &p)
		case declared.TypeDatabase:
			judgeDatabase(f, r, &p)
		case declared.TypeRole:
			judgeRole(f, r, &p)
		case declared.TypeGrant:
			judgeGrant(f, r, &p)
		case declared.TypeExtension:
			judgeExtension(f, r, &p)
		default:
			if strings.HasPrefix(r.Type, "postgresql:") {
				p.Add("is a "+r.Type, "the ledger allocates databases, roles, grants and extensions", "Declare one of those, or teach the rule what the other may touch.")
			}
		}
		return p.Findings
	},
}

func judgeDatabaseURLs(f *Fleet, r declared.Resource, p *ledger.Report) {
	name := containerName(r)
	c, isApp := f.ContainerNamed(name)
	_, isService := f.ServiceNamed(name)
	variables := environment(r)
	if !isService {
		unreadableEntries(p, variables, "a database URL")
	}
	own, login := false, "the role in DATABASE_URL"
	unread := slices.ContainsFunc(variables, func(v variable) bool { return v.State != declared.Known })
	for _, e := range endpoints(r, variables, postgresURL) {
		if !isApp {
			p.Add("holds a PostgreSQL URL in "+e.Path, "the ledger gives it no database", "Drop the URL.")
			continue
		}
		if judgeDatabaseURL(f, c, e, p) {
			own, login = true, e.URL.User.Username()
		}
	}
	if !isApp {
		return
	}
	if !own && !unread && len(p.Findings) == 0 {
		p.Add("has no URL of its database", "the ledger gives it "+c.Database, "Set DATABASE_URL.")
	}
	server, _ := f.Service(ledger.Postgres)
	for _, v := range variables {
		var want string
		switch v.Key {
		case "PGDATABASE", "POSTGRES_DB", "DB_NAME":
			want = c.Database
		case "PGUSER", "POSTGRES_USER", "DB_USER":
			want = login
		case "PGHOST", "POSTGRES_HOST", "DB_HOST":
			want = server.Container
		default:
			continue
		}
		if v.Value != want {
			p.Add("has another value than its own in "+v.Path(), "the ledger says "+want, "Take it from the ledger.")
		}
	}
}

// judgeDatabaseURL reports whether the URL names the container's own database.
func judgeDatabaseURL(f *Fleet, c ledger.OwnedContainer, e endpoint, p *ledger.Report) bool {
	s, _ := f.Service(ledger.Postgres)
	at := fmt.Sprintf("PostgreSQL is %s:%d", s.Container, s.Port)
	if e.URL == nil {
		p.Add("has a database URL in "+e.Path+" that cannot be read", at, "Percent-encode the password.")
		return false
	}
	if !atService(e.URL, s) {
		p.Add("has a database URL in "+e.Path+" that points at another server", at, "Point it at "+s.Container+".")
	}
	if name := overridden(e.URL, "host", "hostaddr", "port", "user", "dbname", "database", "service"); name != "" {
		p.Add("has a database URL in "+e.Path+" whose query sets "+name, "clients let the query win over the URL", "Drop it from the query.")
	}
	name := strings.TrimPrefix(e.URL.Path, "/")
	owned, ok := c.App.Database(name)
	if !ok {
		// Another app's database is public knowledge; any other text may be a secret.
		found := "for a database that the ledger does not know"
		if other, ok := f.DatabaseNamed(name); ok {
			found = "for " + other.Name + ", a database of " + other.App.Name
		}
		p.Add("has a URL in "+e.Path+" "+found, "the ledger gives it "+c.Database, "Name its own database.")
		return false
	}
	if e.Key == "DATABASE_URL" && name != c.Database {
		p.Add("has a URL in "+e.Path+" for "+name, "the ledger gives it "+c.Database, "Name its own database.")
	}
	password, _ := userPassword(e.URL)
	if e.URL.User.Username() != ledger.LoginRole(owned.Role, password) {
		p.Add("has a URL in "+e.Path+" for another role than the login of its password", name+" belongs to "+owned.Role+", and who logs in as that is named after the password", "Take the URL from components.Database.")
	}
	return name == c.Database
}

func judgeDatabase(f *Fleet, r declared.Resource, p *ledger.Report) {
	name, state := declared.Read[string](r.Props, "name")
	if state != declared.Known {
		p.Add("has no database name"+describe(state), "the ledger names every database", "Take the name from the ledger.")
		return
	}
	p.Subject = name
	d, ok := f.DatabaseNamed(name)
	if !ok {
		p.Add("is not in the ledger", "every database belongs to an app", "Add it to its app in internal/ledger/alorig.go, or drop it.")
		return
	}
	if owner, state := declared.Read[string](r.Props, "owner"); state != declared.Known || owner != d.Role {
		found := "has no owner" + describe(state)
		if state == declared.Known {
			found = "is owned by " + owner
		}
		p.Add(found, "the ledger gives it to the role "+d.Role, "Set owner to "+d.Role+".")
	}
}

// Role attributes that reach beyond one database.
var reachingAttributes = []string{"superuser", "createRole", "createDatabase", "replication", "bypassRowLevelSecurity"}

func judgeRole(f *Fleet, r declared.Resource, p *ledger.Report) {
	name, state := declared.Read[string](r.Props, "name")
	if state != declared.Known {
		p.Add("has no role name"+describe(state), "the ledger names every role", "Take the name from the ledger.")
		return
	}
	p.Subject = name
	if owned, ok := f.RoleNamed(name); ok {
		judgeOwner(owned, r, p)
	} else if owned, ok := f.LoginNamed(name); ok {
		judgeLogin(name, owned, r, p)
	} else {
		p.Add("is a role that is not in the ledger", "every role owns a database of its app, or logs in to one", "Add it to its app in internal/ledger/alorig.go, or drop it.")
	}
}

// judgeOwner judges the role that owns a database.
func judgeOwner(d ledger.OwnedDatabase, r declared.Resource, p *ledger.Report) {
	says := "a role of " + d.App.Name + " owns " + d.Name + " and nothing else"
	judgeReach(r, says, p)
	judgeMemberships(r, nil, says, "Leave roles and assumeRole unset.", p)
	if on, state := declared.Read[bool](r.Props, "login"); on || state == declared.Unknown || state == declared.WrongType {
		p.Add("logs in, or may", "a login role logs in as "+d.Role, "Leave login unset.")
	}
	if !r.Props.Get("password").IsNull() {
		p.Add("has a password", "a login role logs in as "+d.Role, "Leave password unset.")
	}
}

// judgeLogin judges a role that logs in as the owner of a database.
func judgeLogin(name string, d ledger.OwnedDatabase, r declared.Resource, p *ledger.Report) {
	says := "a login of " + d.Role + " acts as that and nothing else"
	judgeReach(r, says, p)
	judgeMemberships(r, []string{d.Role}, says, "Set roles and assumeRole to "+d.Role+".", p)
	if on, state := declared.Read[bool](r.Props, "login"); !on {
		p.Add("has no login"+describe(state), "the role logs in as "+d.Role, "Set login.")
	}
	password, state := declared.Read[string](r.Props, "password")
	switch {
	case state != declared.Known || password == "":
		p.Add("has no password"+describe(state), "the role logs in with one", "Set it from the configuration.")
	case name != ledger.LoginRole(d.Role, password):
		p.Add("is not named after its password", "a new password makes a new role, and the old one stays until no container uses it", "Take the name from ledger.LoginRole.")
	}
}

// judgeReach refuses attributes that reach beyond one database.
func judgeReach(r declared.Resource, says string, p *ledger.Report) {
	for _, attribute := range reachingAttributes {
		if on, state := declared.Read[bool](r.Props, attribute); on || state == declared.Unknown || state == declared.WrongType {
			p.Add("has "+attribute+", or may", says, "Leave "+attribute+" unset.")
		}
	}
}

// judgeMemberships expects that the role is a member of exactly those, and acts as them.
func judgeMemberships(r declared.Resource, want []string, says, remedy string, p *ledger.Report) {
	roles, state := declared.ReadStrings(r.Props, "roles")
	if problem := unreadable("roles", state); problem != "" {
		p.Add(problem, says, remedy)
		return
	}
	var assumed []string
	role, state := declared.Read[string](r.Props, "assumeRole")
	if problem := unreadable("assumeRole", state); problem != "" {
		p.Add(problem, says, remedy)
		return
	}
	if role != "" {
		assumed = []string{role}
	}
	for _, m := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(roles, assumed)))) {
		if !slices.Contains(want, m) {
			p.Add("is a member of the role "+m, says, remedy)
		}
	}
	for _, m := range want {
		if !slices.Contains(roles, m) {
			p.Add("is no member of the role "+m, says, remedy)
		}
		if !slices.Contains(assumed, m) {
			p.Add("does not act as the role "+m, "what a login made would be its own, and be left when it goes", remedy)
		}
	}
}

func judgeGrant(f *Fleet, r declared.Resource, p *ledger.Report) {
	p.Subject = "grant " + r.Name
	database, state := declared.Read[string](r.Props, "database")
	if state != declared.Known {
		p.Add("has no database"+describe(state), "a grant stays within one app", "Name the database in plain text.")
		return
	}
	role, state := declared.Read[string](r.Props, "role")
	if state != declared.Known {
		p.Add("has no role"+describe(state), "a grant stays within one app", "Name the role in plain text.")
		return
	}
	if isPublic(role) {
		return // database-isolation judges what PUBLIC gets
	}
	d, ok := f.DatabaseNamed(database)
	if !ok {
		p.Add("gives "+role+" something in "+database, "the ledger has no such database", "Drop the grant.")
		return
	}
	if owner, ok := f.RoleNamed(role); !ok || owner.App.Name != d.App.Name {
		p.Add("lets "+role+" into "+database, database+" belongs to "+d.App.Name+" alone", "Drop the grant.")
	}
	if further, state := declared.Read[bool](r.Props, "withGrantOption"); further || state == declared.Unknown || state == declared.WrongType {
		p.Add("lets "+role+" grant it further, or may", database+" belongs to "+d.App.Name+" alone", "Leave withGrantOption unset.")
	}
}

func isPublic(role string) bool { return strings.EqualFold(role, "public") }

func judgeExtension(f *Fleet, r declared.Resource, p *ledger.Report) {
	p.Subject = "extension " + r.Name
	database, inDatabase := declared.Read[string](r.Props, "database")
	name, named := declared.Read[string](r.Props, "name")
	if inDatabase != declared.Known || named != declared.Known {
		p.Add("has no name or database"+describe(max(inDatabase, named)), "the ledger lists every extension of a database", "Give both in plain text.")
		return
	}
	d, ok := f.DatabaseNamed(database)
	if !ok || !slices.Contains(d.Extensions, name) {
		p.Add("installs "+name+" in "+database, "the ledger does not list it there", "Add it to Extensions of the database in internal/ledger/alorig.go, or drop it.")
	}
}
