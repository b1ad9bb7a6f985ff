package rules

import (
	"fmt"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

// containerName is the physical name of a container; "" when it has none that is known.
func containerName(r declared.Resource) string {
	name, _ := declared.Read[string](r.Props, "name")
	return name
}

// containerSubject names a container for people.
func containerSubject(r declared.Resource) string {
	if name := containerName(r); name != "" {
		return name
	}
	return "container " + r.Name
}

// bookedMemory is what the ledger books for the container.
func bookedMemory(f *Fleet, r declared.Resource) (ledger.Memory, bool) {
	name := containerName(r)
	if c, ok := f.ContainerNamed(name); ok {
		return c.Memory, true
	}
	s, ok := f.ServiceNamed(name)
	return s.Memory, ok
}

// containerLabel is the value of a container's label.
func containerLabel(r declared.Resource, key string) (string, declared.State) {
	labels, state := declared.ReadMaps(r.Props, "labels")
	if state != declared.Known {
		return "", state
	}
	for _, l := range labels {
		name, state := declared.Read[string](l, "label")
		if state != declared.Known {
			return "", state
		}
		if name == key {
			return declared.Read[string](l, "value")
		}
	}
	return "", declared.Absent
}

// owningApp is the app a container counts for: the ledger's by its name, else the one
// its label claims; "" when it is nobody's.
func owningApp(f *Fleet, r declared.Resource) string {
	if c, ok := f.ContainerNamed(containerName(r)); ok {
		return c.App.Name
	}
	app, _ := containerLabel(r, ledger.LabelApp)
	return app
}

// memoryOf sums one memory property of containers.
type memorySum struct {
	property string
	total    ledger.MiB
	findings []ledger.Finding
}

// add counts a container in. One whose memory cannot be read would make every sum a
// guess, so it is refused.
func (m *memorySum) add(r declared.Resource) ledger.MiB {
	n, state := declared.ReadInt(r.Props, m.property)
	if state != declared.Known || n <= 0 {
		m.findings = append(m.findings, ledger.Finding{
			Subject: containerSubject(r), URN: r.URN,
			Problem: "has no " + m.property + describe(state) + ", so the sum is a guess",
			Ledger:  "every container counts against the server's memory",
			Remedy:  "Declare it through components.Workload, which takes its memory from the ledger.",
		})
		return 0
	}
	m.total += ledger.MiB(n)
	return ledger.MiB(n)
}

// undeclaredServices are the shared services that the stack does not declare: they run
// on the server all the same.
func undeclaredServices(f *Fleet, rs []declared.Resource) []ledger.Service {
	seen := map[string]bool{}
	for _, r := range rs {
		if r.Type == declared.TypeContainer {
			seen[containerName(r)] = true
		}
	}
	var rest []ledger.Service
	for _, s := range f.Services {
		if !seen[s.Container] {
			rest = append(rest, s)
		}
	}
	return rest
}

// onDemand reports whether the container is a shared service that runs only while
// somebody looks.
func onDemand(f *Fleet, r declared.Resource) bool {
	s, ok := f.ServiceNamed(containerName(r))
	return ok && s.OnDemand
}

// amount shows memory the way the seed and the way Docker write it.
func amount(m ledger.MiB) string { return fmt.Sprintf("%d MiB (%s)", int(m), m) }
