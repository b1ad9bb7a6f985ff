package recovery

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/alorig/fleet/internal/containers"
	"github.com/alorig/fleet/internal/handover"
	"github.com/alorig/fleet/internal/terminal"
)

// Plan is what is to be done about what was found.
type Plan struct {
	Steps []Step `json:"steps"`
	// Undecided is what is in the way of an update and needs a human's decision.
	Undecided []string `json:"undecided"`
	// Notes say what is left as it is, and why.
	Notes []string `json:"notes"`
}

// Step is one thing to do. Each can be cut short and done again.
type Step struct {
	Do   Action `json:"do"`
	Text string `json:"text"` // for people
	Name string `json:"name"` // of the lock, container, network or resource
	ID   string `json:"id,omitempty"`
	To   string `json:"to,omitempty"` // the new name of a container
	// Once is the ID of a container that must be healthy first.
	Once string `json:"once,omitempty"`
	// KeepFailed leaves a container that has failed, for people to look at.
	KeepFailed bool `json:"keepFailed,omitempty"`
	// URNs are what a refresh reads.
	URNs []string `json:"urns,omitempty"`

	operation Operation
}

// Action is a kind of step.
type Action string

// The actions, in the order in which a plan has them.
const (
	BreakLock       Action = "break-lock"
	RenameContainer Action = "rename-container"
	AwaitContainer  Action = "await-container"
	RemoveContainer Action = "remove-container"
	RemoveNetwork   Action = "remove-network"
	Adopt           Action = "adopt"
	Settle          Action = "settle"
)

// onServer reports an action on the Docker engine.
func (a Action) onServer() bool { return a != BreakLock && a != Adopt && a != Settle }

// Clear reports that nothing is in the way of the next update.
func (p Plan) Clear() bool { return len(p.Steps) == 0 && len(p.Undecided) == 0 }

// MakePlan says what to do about what was found. It is a pure function of Found.
//
// While a process that lives, or may live, holds the lock, the plan has no steps: what looks
// like a left-over may be what that process is working on.
func MakePlan(f Found) Plan {
	p := planner{found: f, removed: map[string]bool{}}
	p.locks()
	if len(p.plan.Undecided) > 0 {
		return p.finish()
	}
	var services []Step
	for _, slot := range f.Declared.Slots {
		if slot.Volume != "" {
			services = append(services, p.service(slot)...)
		} else {
			p.slot(slot)
		}
	}
	p.migrations()
	p.plan.Steps = append(p.plan.Steps, services...)
	p.strangers()
	p.networks()
	p.stopped()
	p.operations()
	if p.found.NoLocks && !p.found.Trusted && len(p.plan.Steps) > 0 {
		p.plan.Steps = nil
		p.undecided("There are left-overs, and whether an update is working on them at this moment cannot be known from here: %s does not show its locks. `pulumi stack --stack %s` shows one that is running, and `pulumi cancel` ends one that hangs. If none is running, run this again with --lock-holder-is-gone (docs/runbook.md, %s).",
			p.found.Backend, p.found.Stack, runbookSection)
	}
	return p.finish()
}

type planner struct {
	found   Found
	plan    Plan
	removed map[string]bool // names of containers
}

func (p *planner) finish() Plan {
	if p.plan.Steps == nil {
		p.plan.Steps = []Step{}
	}
	for _, list := range []*[]string{&p.plan.Undecided, &p.plan.Notes} {
		if *list == nil {
			*list = []string{}
		}
		slices.Sort(*list)
	}
	return p.plan
}

func (p *planner) undecided(format string, args ...any) {
	p.plan.Undecided = append(p.plan.Undecided, fmt.Sprintf(format, args...))
}

func (p *planner) note(format string, args ...any) {
	p.plan.Notes = append(p.plan.Notes, fmt.Sprintf(format, args...))
}

func (p *planner) step(s Step, format string, args ...any) {
	s.Text = fmt.Sprintf(format, args...)
	p.plan.Steps = append(p.plan.Steps, s)
}

func (p *planner) locks() {
	var steps []Step
	for _, l := range p.found.Locks {
		lock := l.where(p.found.Backend)
		step := Step{Do: BreakLock, Name: l.Key, Text: fmt.Sprintf("Delete %s: %s.", lock, l.Why)}
		switch {
		case l.Verdict == Dead:
			steps = append(steps, step)
		case l.Verdict == Alive:
			p.undecided("%s: %s. Wait until it has finished, or end it there with Ctrl-C, and run this again (docs/runbook.md, %s).", capital(lock), l.Why, runbookSection)
		case p.found.Trusted:
			step.Text = fmt.Sprintf("Delete %s: you have said that its holder has ended.", lock)
			steps = append(steps, step)
		case l.PID == 0:
			p.undecided("%s: %s. If nobody updates %s anywhere, run this again with --lock-holder-is-gone (docs/runbook.md, %s).", capital(lock), l.Why, p.found.Stack, runbookSection)
		default:
			p.undecided("%s: %s. So it cannot be known from here whether it is still updating. Look where it was started, on the machine or in the container, for the process (`ps -p %d`). If it has ended, run this again with --lock-holder-is-gone (docs/runbook.md, %s).",
				capital(lock), l.Why, l.PID, runbookSection)
		}
	}
	if len(p.plan.Undecided) == 0 {
		p.plan.Steps = steps
	}
}

// at returns the container with this name, or nil when there is none or it belongs to
// somebody else; foreign tells which. A foreign container whose name an update needs is
// reported.
func (p *planner) at(name string, needed bool) (c *Container, foreign bool) {
	i := slices.IndexFunc(p.found.Containers, func(c Container) bool { return c.Name == name })
	if name == "" || i < 0 {
		return nil, false
	}
	c = &p.found.Containers[i]
	if c.Ours || c.InState {
		return c, false
	}
	if needed {
		p.undecided("The container %s is not ours: %s. The next update needs the name. Rename it (`docker rename %[1]s NAME`) or remove it, if you know what it is.", name, p.notOurs(c.Label))
	}
	return nil, true
}

// notOurs says by which label a thing is known to belong to somebody else.
func (p *planner) notOurs(label string) string {
	if label != "" {
		return fmt.Sprintf("its label alorig.fleet.stack is %s, not %s", label, p.found.Stack)
	}
	return fmt.Sprintf("it lacks the label alorig.fleet.stack=%s", p.found.Stack)
}

// remove plans that an orphan is stopped and removed.
func (p *planner) remove(c *Container, why string) {
	p.removed[c.Name] = true
	stop := "Stop and remove"
	if !c.running() {
		stop = "Remove"
	}
	p.step(Step{Do: RemoveContainer, Name: c.Name, ID: c.ID}, "%s the container %s: %s.", stop, c, why)
}

// rename plans that the previous container of a handover gets its own name back.
func (p *planner) rename(c *Container, to string) {
	p.step(Step{Do: RenameContainer, Name: c.Name, ID: c.ID, To: to}, "Rename the container %s back to %s, as the state knows it.", c, to)
}

const notInState = "the state does not know it, and it holds no data"

// slot plans for one container of an app and the two that may stand beside it. A container
// in the state is never removed here: the next update replaces it.
func (p *planner) slot(s Slot) {
	container, taken := p.at(s.Container, s.Needed)
	previous, _ := p.at(s.Previous, s.Needed)
	next, _ := p.at(s.Next, s.Needed)
	if taken {
		return // nothing of ours can get this name
	}
	places := map[handover.Place]*Container{handover.Current: container, handover.Next: next, handover.Previous: previous}
	var state handover.State
	for place, c := range places {
		if c != nil {
			*state.At(place) = handover.Container{Condition: containers.Condition(c.Status, c.Health), Orphan: c.orphan()}
		}
	}
	once := "" // the ID of the container that must be ready before the next step
	for _, step := range handover.All(handover.Recover, state) {
		c := places[step.Place]
		switch step.Do {
		case handover.Await:
			once = c.ID
		case handover.PutBack:
			p.rename(c, s.Container)
			places[handover.Current], places[handover.Previous] = c, nil
		case handover.Remove:
			p.handoverRemoves(s, step.Place, c, once)
			places[step.Place] = nil
		case handover.Done:
			p.handoverLeaves(s, places)
		case handover.Create, handover.SetAside, handover.Refuse: // are no steps of a recovery
		}
	}
}

// handoverRemoves plans the removal of one of the containers of a handover, and says why.
func (p *planner) handoverRemoves(s Slot, place handover.Place, c *Container, once string) {
	switch {
	case place == handover.Current:
		p.remove(c, notInState)
	case place == handover.Previous:
		p.remove(c, notInState+", and no request reaches it under this name")
	case once != "":
		p.removed[c.Name] = true
		p.step(Step{Do: RemoveContainer, Name: c.Name, ID: c.ID, Once: once}, "Stop and remove the container %s once %s is ready.", c, s.Container)
	case c.Status == "created":
		p.remove(c, "it has never been started")
	default:
		p.remove(c, s.Container+" serves")
	}
}

// handoverLeaves says what stays, and why.
func (p *planner) handoverLeaves(s Slot, left map[handover.Place]*Container) {
	next := left[handover.Next]
	if c := left[handover.Previous]; c != nil && left[handover.Current] == nil && next != nil {
		// With its own name back it would get the requests that the next version answers now.
		p.note("The container %s stays aside, since it is not ready and %s is. The next update replaces it.", c, next.Name)
	}
	switch {
	case next == nil || !next.orphan():
	case next.running():
		p.note("The container %s serves in place of %s. It stays; the next update removes it.", next, s.Container)
	default:
		// A next version that did not get ready is kept (docs/adr/0018-handover.md). A stopped
		// container is not in the way of an update.
		p.note("The container %s stands beside %s. It stays, for you to look at; the next handover removes it.", next, s.Container)
	}
}

// service plans for a shared service. It keeps its data in a named volume, and the next
// container gets the same volume. Where the data is elsewhere, a human has to remove it.
func (p *planner) service(s Slot) []Step {
	c, _ := p.at(s.Container, s.Needed)
	if c == nil || !c.orphan() {
		return nil
	}
	if c.Status != "created" && !slices.Contains(c.Volumes, s.Volume) {
		p.undecided("The container %s is ours and not in the state, and does not keep its data in the volume %s (it has %s). Save its data, and remove it with `docker rm %s`.",
			c, s.Volume, orNone(c.Volumes), c.Name)
		return nil
	}
	before := len(p.plan.Steps)
	p.remove(c, "the state does not know it, and its data stays in the volume "+s.Volume)
	steps := slices.Clone(p.plan.Steps[before:])
	p.plan.Steps = p.plan.Steps[:before]
	return steps
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// migrations plans that containers that migrate a database are removed when they have
// ended. A running migration is never stopped: not every migration is one transaction.
func (p *planner) migrations() {
	for _, c := range p.found.Containers {
		needed, migrates := p.found.Declared.Migrations[c.Name]
		if !migrates {
			continue
		}
		found, _ := p.at(c.Name, needed)
		if found == nil || !found.orphan() {
			continue
		}
		if c.Status == "exited" && c.ExitCode != 0 {
			p.note("The migration in %s ended with exit code %d. It stays, for you to look at (`docker logs %s`); the next update removes it and migrates again.", c, c.ExitCode, c.Name)
			continue
		}
		if c.Status != "exited" && c.Status != "created" && c.Status != "dead" {
			p.step(Step{Do: AwaitContainer, Name: c.Name, ID: c.ID}, "Wait until the migration in %s has ended, however long it takes.", c)
		}
		p.removed[c.Name] = true
		p.step(Step{Do: RemoveContainer, Name: c.Name, ID: c.ID, KeepFailed: true}, "Remove the container %s, unless the migration has failed.", c.Name)
	}
}

// strangers notes containers with our label whose name the ledger does not give.
func (p *planner) strangers() {
	for _, c := range p.found.Containers {
		if c.orphan() && !p.found.Declared.has(c.Name) {
			p.note("The container %s carries our label, and neither the state nor the ledger knows it. It is left alone; it is not in the way.", c)
		}
	}
}

func (p *planner) networks() {
	for _, n := range p.found.Networks {
		if n.InState {
			continue
		}
		if !n.Ours {
			p.undecided("The network %s (%s) is not ours: %s. The next update makes one of the name. Remove it, or set alorig:platform to existing.", n.Name, short(n.ID), p.notOurs(n.Label))
			continue
		}
		left := slices.DeleteFunc(slices.Clone(n.Containers), func(name string) bool { return p.removed[name] })
		if len(left) > 0 {
			p.undecided("The network %s (%s) is ours and not in the state, and is in use by %s. Disconnect them (`docker network disconnect --force %[2]s NAME`), and run this again.", n.Name, short(n.ID), strings.Join(left, ", "))
			continue
		}
		p.step(Step{Do: RemoveNetwork, Name: n.Name, ID: n.ID}, "Remove the network %s (%s): the state does not know it, and it is empty.", n.Name, short(n.ID))
	}
}

func short(id string) string { return id[:min(12, len(id))] }

// operations plans for the pending operations. A resource that was being created, exists and
// cannot be created again is taken into the state. Other creates are forgotten: the next
// update makes them again. All other resources are read anew.
func (p *planner) operations() {
	if len(p.found.Operations)+len(p.found.Missing) == 0 {
		return
	}
	targets := map[string]bool{}
	forgotten := 0
	var missing []string
	for _, m := range p.found.Missing {
		targets[m.URN] = true
		missing = append(missing, m.Name)
	}
	for _, o := range p.found.Operations {
		if o.Taken != "" {
			p.undecided("%s %s cannot be created: there is %s. Remove it, if you know what it is.", o.kind(), o.Name, o.Taken)
		}
		if o.Beside != "" {
			p.note("%s %s: there is %s.", o.kind(), o.Name, o.Beside)
		}
		switch {
		case o.InState:
			targets[o.URN] = true
		case o.Exists != "":
			targets[o.URN] = true
			p.step(Step{Do: Adopt, Name: o.Name, ID: o.Exists, URNs: []string{o.URN}, operation: o},
				"Take the %s %s into the state: it exists, and could not be created again.", strings.ToLower(o.kind()), terminal.Line(cmp.Or(o.input("name"), o.Name)))
		case o.Kind == creating:
			forgotten++
		}
	}
	var urns []string
	for urn := range targets {
		urns = append(urns, urn)
	}
	slices.Sort(urns)
	var texts []string
	if len(p.found.Operations) > 0 {
		texts = append(texts, fmt.Sprintf("Refresh what was under way, %s", plural(len(p.found.Operations), "operation", "operations")))
	}
	if forgotten > 0 {
		texts = append(texts, fmt.Sprintf("forget %s, which the next update makes again", plural(forgotten, "create", "creates")))
	}
	if len(missing) > 0 {
		texts = append(texts, fmt.Sprintf("forget %s, which the state has and the server has not, so that the next update makes it again", strings.Join(missing, ", ")))
	}
	if len(urns) == 0 && p.found.Root != "" {
		urns = []string{p.found.Root} // a target that has nothing to read
	}
	p.step(Step{Do: Settle, Name: p.found.Stack, URNs: urns}, "%s.", capital(strings.Join(texts, ", and ")))
}

// stopped notes what the state has and does not run: it is in nobody's way, and no preview
// tells.
func (p *planner) stopped() {
	for _, c := range p.found.Containers {
		if c.InState && c.Status == "exited" && !slices.ContainsFunc(p.found.Declared.Slots, func(s Slot) bool { return s.Previous == c.Name }) {
			p.note("The container %s does not run. The next update starts it.", c)
		}
	}
}

// capital returns a text as the beginning of a sentence.
func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
