package ledger

// Index finds entries of a ledger by name. It is built once, so that a look-up in a fleet
// of a thousand apps does not search the whole fleet.
type Index struct {
	Ledger
	containers map[string]OwnedContainer
	services   map[string]Service
	databases  map[string]OwnedDatabase
	roles      map[string]OwnedDatabase
	hosts      map[string]OwnedHost
	reserved   map[string]Reservation
}

// OwnedContainer is a container with the app that owns it.
type OwnedContainer struct {
	App App
	Container
}

// OwnedDatabase is a database with the app that owns it.
type OwnedDatabase struct {
	App App
	Database
}

// OwnedHost is a host with the app that owns it.
type OwnedHost struct {
	App App
	Host
}

// NewIndex indexes the ledger. Where a name is allocated twice, the first owner wins;
// [Ledger.Check] reports the second.
func NewIndex(l Ledger) *Index {
	x := &Index{
		Ledger:     l,
		containers: map[string]OwnedContainer{},
		services:   map[string]Service{},
		databases:  map[string]OwnedDatabase{},
		roles:      map[string]OwnedDatabase{},
		hosts:      map[string]OwnedHost{},
		reserved:   map[string]Reservation{},
	}
	for _, s := range l.Services {
		addFirst(x.services, s.Container, s)
	}
	for _, r := range l.Reserved {
		for _, c := range r.Containers {
			addFirst(x.reserved, c, r)
		}
	}
	for _, a := range l.Apps {
		for _, c := range a.Containers {
			addFirst(x.containers, ContainerName(a.Name, c.Role), OwnedContainer{a, c})
		}
		for _, d := range a.Databases {
			addFirst(x.databases, d.Name, OwnedDatabase{a, d})
			addFirst(x.roles, d.Role, OwnedDatabase{a, d})
		}
		for _, h := range a.Hosts {
			addFirst(x.hosts, h.Name, OwnedHost{a, h})
		}
	}
	return x
}

func addFirst[V any](m map[string]V, key string, v V) {
	if _, taken := m[key]; !taken {
		m[key] = v
	}
}

// ContainerNamed returns the app container with the physical name.
func (x *Index) ContainerNamed(name string) (OwnedContainer, bool) {
	c, ok := x.containers[name]
	return c, ok
}

// ServiceNamed returns the shared service whose container has the name.
func (x *Index) ServiceNamed(name string) (Service, bool) {
	s, ok := x.services[name]
	return s, ok
}

// ReservedContainer returns the reservation that lists the container name.
func (x *Index) ReservedContainer(name string) (Reservation, bool) {
	r, ok := x.reserved[name]
	return r, ok
}

// DatabaseNamed returns the database with the name.
func (x *Index) DatabaseNamed(name string) (OwnedDatabase, bool) {
	d, ok := x.databases[name]
	return d, ok
}

// RoleNamed returns the database whose owner is the PostgreSQL role.
func (x *Index) RoleNamed(role string) (OwnedDatabase, bool) {
	d, ok := x.roles[role]
	return d, ok
}

// LoginNamed returns the database to whose owner the role logs in. Which password it must
// have [LoginRole] tells.
func (x *Index) LoginNamed(login string) (OwnedDatabase, bool) {
	d, ok := x.roles[loginOwner(login)]
	return d, ok
}

// HostNamed returns the DNS name.
func (x *Index) HostNamed(name string) (OwnedHost, bool) {
	h, ok := x.hosts[name]
	return h, ok
}
