package rules

import (
	"github.com/alorig/fleet/internal/fleet"
)

// containerName is the physical name of a container; "" when it has none that is known.
func containerName(r Resource) string {
	name, _ := Read[string](r.Props, "name")
	return name
}

// containerSubject names a container for people.
func containerSubject(r Resource) string {
	if name := containerName(r); name != "" {
		return name
	}
	return "container " + r.Name
}

// bookedMemory is what the ledger books for the container.
func bookedMemory(f *Fleet, r Resource) (fleet.Memory, bool) {
	name := containerName(r)
	if c, ok := f.ContainerNamed(name); ok {
		return c.Memory, true
	}
	s, ok := f.ServiceNamed(name)
	return s.Memory, ok
}

// describe explains a state that is not Known, to follow "has no X".
func describe(s State) string {
	switch s {
	case Unknown:
		return " that is known at preview"
	case WrongType:
		return " of the right type"
	case Known:
		return " above zero"
	case Absent:
	}
	return ""
}
