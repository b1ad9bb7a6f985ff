// Package handover plans how a container gives way to its next version without a gap
// (docs/adr/0018-handover.md): from the containers that exist, with their state, to the next
// step. It is pure. The server's program takes the steps during an update and
// `alorig recover` takes them after one that was killed, so the two cannot differ.
//
// A container X serves. X_next is its next version beside it; Caddy asks that one while the
// name X leads nowhere. X_previous is the old container from when the next version serves
// until the provider removes it.
package handover

import "fmt"

// Condition is what a container is worth at one moment.
type Condition int

// The conditions. Docker's "paused", "restarting", "removing" and "dead" count as Stopped:
// such a container answers nobody.
const (
	Missing  Condition = iota
	Created            // it has never been started
	Stopped            // it has run and does not
	Starting           // it runs, its probe fails, and Docker still grants it its start
	Sick               // it runs and its probe fails
	Ready              // it runs and its probe passes
)

// String is the condition in the words of a message.
func (c Condition) String() string {
	return [...]string{"missing", "created and never started", "stopped", "still starting", "unhealthy", "ready"}[c]
}

// Running reports a container whose process runs.
func (c Condition) Running() bool { return c >= Starting }

// Place tells the containers of a handover apart.
type Place int

// The places: the container of the fixed name, and those beside it.
const (
	Current Place = iota
	Next
	Previous
)

// Container is one of the three.
type Container struct {
	Condition Condition
	// Orphan is a container that Pulumi's state does not know, so that no update will remove
	// or keep it. Only a recovery knows; in an update it is false.
	Orphan bool
}

// State is what exists.
type State struct {
	Current, Next, Previous Container
	// Made tells that this very run has made the next version, and Proven that it has seen it
	// ready. One that an earlier run has left may be of another update.
	Made, Proven bool
}

// At returns the container at a place.
func (s *State) At(p Place) *Container {
	switch p {
	case Current:
		return &s.Current
	case Next:
		return &s.Next
	default:
		return &s.Previous
	}
}

// Goal is what somebody wants of a handover.
type Goal int

// The goals of an update in their order, and that of a recovery.
const (
	// Try sees that the next version becomes ready, and ends it again.
	Try Goal = iota
	// Take lets the next version serve in place of the container.
	Take
	// End ends the next version once the container is ready.
	End
	// Recover undoes or finishes what a killed update has left, so that the next update can
	// go on. It starts nothing.
	Recover
)

// Action is a kind of step.
type Action int

// The actions.
const (
	// Done ends the plan. With a reason, the goal is one that had nothing to do.
	Done Action = iota
	// Create makes and starts the next version.
	Create
	// Await waits until a container is ready. If it does not get ready, the plan has failed.
	Await
	// Remove stops a container with its own signal and grace, and removes it.
	Remove
	// SetAside lets the next version have what a serving container has, and renames the
	// container to Previous.
	SetAside
	// PutBack renames Previous to the container's own name.
	PutBack
	// Refuse ends the plan without success.
	Refuse
)

// Step is one thing to do. Each can be cut short and taken again.
type Step struct {
	Do     Action
	Place  Place
	Reason string // for people, of Done and Refuse
}

// Plan returns the next step to a goal. Whoever takes it looks again and asks again, until
// the answer is Done or Refuse.
func Plan(goal Goal, s State) Step {
	switch goal {
	case Try, Take:
		return next(goal, s)
	case End:
		return end(s)
	default:
		return recovery(s)
	}
}

// keepsAside reports a previous container that must not get its name back: with it, it would
// get the requests that the next version answers now.
func keepsAside(s State) bool {
	return s.Next.Condition == Ready && s.Previous.Condition != Ready
}

// settle finishes or undoes what an earlier run has left. ok is false when there is nothing.
func settle(s State) (step Step, ok bool) {
	if s.Previous.Condition != Missing {
		switch {
		case s.Current.Condition != Missing:
			return Step{Do: Remove, Place: Previous}, true
		case keepsAside(s):
			return Step{Do: Done, Reason: "the next version serves, and what it replaces is " + s.Previous.Condition.String()}, true
		default:
			return Step{Do: PutBack, Place: Previous}, true
		}
	}
	if s.Next.Condition == Missing {
		return Step{}, false
	}
	if s.Next.Condition == Ready && s.Current.Condition != Ready {
		return Step{Do: Done, Reason: "the next version serves, and the container is " + s.Current.Condition.String()}, true
	}
	return Step{Do: Remove, Place: Next}, true
}

// next plans for Try and Take. What this run has proven is not what an earlier one has left.
func next(goal Goal, s State) Step {
	if s.Proven {
		switch {
		case goal == Try && s.Next.Condition != Missing:
			return Step{Do: Remove, Place: Next}
		case goal == Take && s.Current.Condition != Missing && s.Previous.Condition != Missing:
			return Step{Do: Remove, Place: Previous}
		case goal == Take && s.Current.Condition != Missing:
			return Step{Do: SetAside, Place: Current}
		default:
			return Step{Do: Done}
		}
	}
	if s.Made && s.Next.Condition != Missing {
		return Step{Do: Await, Place: Next}
	}
	if step, ok := settle(s); ok {
		return step
	}
	if !s.Current.Condition.Running() {
		return Step{Do: Done, Reason: "there is nothing to hand over: the container is " + s.Current.Condition.String()}
	}
	return Step{Do: Create, Place: Next}
}

// end plans for End. The provider has replaced the container, or has found nothing to change
// about the one that stands aside.
func end(s State) Step {
	if s.Previous.Condition != Missing {
		switch {
		case s.Current.Condition != Missing:
			return Step{Do: Remove, Place: Previous}
		case s.Next.Condition == Ready && s.Previous.Condition.Running() && s.Previous.Condition != Ready:
			return Step{Do: Await, Place: Previous}
		case keepsAside(s):
			return Step{Do: Refuse, Reason: "the update has not replaced the container, which is " + s.Previous.Condition.String()}
		default:
			return Step{Do: PutBack, Place: Previous}
		}
	}
	switch s.Current.Condition {
	case Ready:
		if s.Next.Condition == Missing {
			return Step{Do: Done}
		}
		return Step{Do: Remove, Place: Next}
	case Starting, Sick:
		return Step{Do: Await, Place: Current}
	default:
		return Step{Do: Refuse, Reason: "the container is " + s.Current.Condition.String()}
	}
}

// recovery plans for Recover. A container that the state knows is never removed: the next
// update replaces it.
func recovery(s State) Step {
	switch {
	case s.Current.Condition != Missing && s.Current.Orphan:
		return Step{Do: Remove, Place: Current}
	case s.Previous.Condition != Missing && s.Previous.Orphan:
		return Step{Do: Remove, Place: Previous}
	case s.Previous.Condition != Missing && s.Current.Condition == Missing && !keepsAside(s):
		return Step{Do: PutBack, Place: Previous}
	case s.Next.Condition == Missing || !s.Next.Orphan:
		return Step{Do: Done}
	}
	switch {
	case s.Next.Condition == Stopped:
		return Step{Do: Done, Reason: "a next version that did not become ready stays, to be looked at; the next handover removes it"}
	case s.Next.Condition == Created:
		return Step{Do: Remove, Place: Next}
	case s.Current.Condition == Ready:
		return Step{Do: Remove, Place: Next}
	case s.Current.Condition == Starting:
		return Step{Do: Await, Place: Current}
	default:
		// It stays even when it is sick: it may only be slow, and nothing else answers.
		return Step{Do: Done, Reason: "the next version serves in place of the container"}
	}
}

// Apply returns the state after a step that has succeeded.
func (s State) Apply(step Step) State {
	switch step.Do {
	case Create:
		s.Next, s.Made = Container{Condition: Starting, Orphan: true}, true
	case Await:
		s.At(step.Place).Condition = Ready
		s.Proven = s.Proven || step.Place == Next
	case Remove:
		*s.At(step.Place) = Container{}
	case SetAside:
		s.Previous, s.Current = s.Current, Container{}
	case PutBack:
		s.Current, s.Previous = s.Previous, Container{}
	case Done, Refuse: // change nothing
	}
	return s
}

// All returns every step to a goal up to Done or Refuse, as far as each succeeds.
func All(goal Goal, s State) []Step {
	var steps []Step
	for {
		step := Plan(goal, s)
		steps = append(steps, step)
		if step.Do == Done || step.Do == Refuse {
			return steps
		}
		if len(steps) > 10 {
			panic(fmt.Sprintf("the plan for goal %d does not end: %v", goal, steps)) // a test asks for every state
		}
		s = s.Apply(step)
	}
}
