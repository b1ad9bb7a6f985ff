package handover

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

var conditions = []Condition{Missing, Created, Stopped, Starting, Sick, Ready}

func containers(current, next, previous Condition) State {
	return State{Current: Container{Condition: current}, Next: Container{Condition: next}, Previous: Container{Condition: previous}}
}

// everyState is every combination of conditions.
func everyState(do func(State)) {
	for _, current := range conditions {
		for _, next := range conditions {
			for _, previous := range conditions {
				do(containers(current, next, previous))
			}
		}
	}
}

func words(steps []Step) string {
	var all []string
	for _, s := range steps {
		action := [...]string{"done", "create", "await", "remove", "set aside", "put back", "refuse"}[s.Do]
		if s.Do != Done && s.Do != Refuse {
			action += " " + [...]string{"current", "next", "previous"}[s.Place]
		}
		all = append(all, action)
	}
	return strings.Join(all, ", ")
}

func TestEachLeftoverLeadsToItsSteps(t *testing.T) {
	t.Parallel()
	const handover = "create next, await next, set aside current, done"
	for name, tt := range map[string]struct {
		before    State
		take, end string
	}{
		"a first deployment":                           {containers(Missing, Missing, Missing), "done", "refuse"},
		"the container serves":                         {containers(Ready, Missing, Missing), handover, "done"},
		"it is sick":                                   {containers(Sick, Missing, Missing), handover, "await current, done"},
		"it is stopped":                                {containers(Stopped, Missing, Missing), "done", "refuse"},
		"killed before the next version started":       {containers(Ready, Created, Missing), "remove next, " + handover, "remove next, done"},
		"killed while the next version starts":         {containers(Ready, Starting, Missing), "remove next, " + handover, "remove next, done"},
		"killed when it was ready":                     {containers(Ready, Ready, Missing), "remove next, " + handover, "remove next, done"},
		"a failed next version was kept":               {containers(Ready, Stopped, Missing), "remove next, " + handover, "remove next, done"},
		"killed when it had taken over":                {containers(Missing, Ready, Ready), "put back previous, remove next, " + handover, "put back previous, remove next, done"},
		"killed while the provider stops the old one":  {containers(Missing, Ready, Stopped), "done", "refuse"},
		"the old one was sick":                         {containers(Missing, Ready, Sick), "done", "await previous, put back previous, remove next, done"},
		"the old one is still starting":                {containers(Missing, Ready, Starting), "done", "await previous, put back previous, remove next, done"},
		"killed before the provider created its own":   {containers(Missing, Ready, Missing), "done", "refuse"},
		"killed while the provider's own starts":       {containers(Starting, Ready, Missing), "done", "await current, remove next, done"},
		"the provider's own does not get ready":        {containers(Sick, Ready, Missing), "done", "await current, remove next, done"},
		"the provider's own has ended":                 {containers(Stopped, Ready, Missing), "done", "refuse"},
		"the old one beside the provider's own":        {containers(Ready, Missing, Ready), "remove previous, " + handover, "remove previous, done"},
		"all three":                                    {containers(Ready, Ready, Stopped), "remove previous, remove next, " + handover, "remove previous, remove next, done"},
		"all three, and the provider's own is sick":    {containers(Sick, Ready, Ready), "remove previous, done", "remove previous, await current, remove next, done"},
		"only the old one":                             {containers(Missing, Missing, Ready), "put back previous, " + handover, "put back previous, done"},
		"only the old one, stopped":                    {containers(Missing, Missing, Stopped), "put back previous, done", "put back previous, refuse"},
		"a failed try of an app that is down":          {containers(Missing, Stopped, Missing), "remove next, done", "refuse"},
		"the next version is sick and the old one too": {containers(Missing, Sick, Sick), "put back previous, remove next, " + handover, "put back previous, await current, remove next, done"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := words(All(Take, tt.before)); got != tt.take {
				t.Errorf("take: %s; want %s", got, tt.take)
			}
			try := strings.Replace(tt.take, "set aside current", "remove next", 1)
			if got := words(All(Try, tt.before)); got != try {
				t.Errorf("try: %s; want %s", got, try)
			}
			if got := words(All(End, tt.before)); got != tt.end {
				t.Errorf("end: %s; want %s", got, tt.end)
			}
		})
	}
}

func TestARecoveryRemovesOnlyOrphans(t *testing.T) {
	t.Parallel()
	orphan := func(c Condition) Container { return Container{Condition: c, Orphan: true} }
	known := func(c Condition) Container { return Container{Condition: c} }
	for name, tt := range map[string]struct {
		before State
		want   string
	}{
		"nothing":                                    {State{}, "done"},
		"all is well":                                {State{Current: known(Ready)}, "done"},
		"a failed next version":                      {State{Current: known(Ready), Next: orphan(Stopped)}, "done"},
		"a next version that never started":          {State{Next: orphan(Created)}, "remove next, done"},
		"a next version beside its container":        {State{Current: known(Ready), Next: orphan(Ready)}, "remove next, done"},
		"beside one that starts":                     {State{Current: known(Starting), Next: orphan(Ready)}, "await current, remove next, done"},
		"beside one that is sick":                    {State{Current: known(Sick), Next: orphan(Ready)}, "done"},
		"a sick next version alone":                  {State{Next: orphan(Sick)}, "done"},
		"an orphan under the name":                   {State{Current: orphan(Ready), Next: orphan(Ready)}, "remove current, done"},
		"set aside, in the state":                    {State{Previous: known(Ready), Next: orphan(Ready)}, "put back previous, remove next, done"},
		"set aside and sick":                         {State{Previous: known(Sick), Next: orphan(Ready)}, "done"},
		"set aside and still starting":               {State{Previous: known(Starting), Next: orphan(Ready)}, "done"},
		"set aside and stopped, nobody serves":       {State{Previous: known(Stopped)}, "put back previous, done"},
		"set aside, its successor an orphan":         {State{Current: orphan(Starting), Previous: known(Ready), Next: orphan(Ready)}, "remove current, put back previous, remove next, done"},
		"an orphan set aside":                        {State{Current: known(Ready), Previous: orphan(Ready)}, "remove previous, done"},
		"known twice":                                {State{Current: known(Ready), Previous: known(Ready)}, "done"},
		"a next version that the state knows, oddly": {State{Current: known(Ready), Next: known(Ready)}, "done"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := words(All(Recover, tt.before)); got != tt.want {
				t.Errorf("%s; want %s", got, tt.want)
			}
		})
	}
}

func TestEveryPlanEnds(t *testing.T) {
	t.Parallel()
	everyState(func(s State) {
		for _, goal := range []Goal{Try, Take, End, Recover} {
			for _, orphans := range []bool{false, true} {
				s.Current.Orphan, s.Next.Orphan, s.Previous.Orphan = orphans, true, orphans
				All(goal, s) // panics if it does not
			}
		}
	})
}

// answers reports whether a request is answered: Caddy asks the fixed name first, and the
// next version only while that name leads nowhere.
func answers(s State) bool {
	if s.Current.Condition.Running() {
		return s.Current.Condition == Ready
	}
	return s.Next.Condition == Ready
}

// An update or a recovery is killed before any of its steps; then another update runs, to
// its end. Whoever serves goes on serving throughout, and at the end the container alone is
// there. What the provider does between Take and End is played too, and can be cut short.
func TestAnyInterruptionEndsInAHandover(t *testing.T) {
	t.Parallel()
	type path struct {
		state State
		how   []string
	}
	served := func(p path, could bool, then State, step Step) path {
		how := append(slices.Clone(p.how), words([]Step{step}))
		if could && answers(p.state) && !answers(then) {
			t.Errorf("nobody answers after %v", how)
		}
		return path{then, how}
	}
	// run goes to a goal, and returns where it could have been killed, and the end.
	run := func(goal Goal, from path, could bool) (killed []path, end path) {
		from.state.Made, from.state.Proven = false, false
		for {
			killed = append(killed, from)
			step := Plan(goal, from.state)
			if step.Do == Done || step.Do == Refuse {
				return killed, from
			}
			from = served(from, could, from.state.Apply(step), step)
		}
	}
	// provide plays the provider: the old container goes, under whatever name, its own comes.
	provide := func(from path) (killed []path, end path) {
		could := from.state.Next.Condition == Ready
		s := from.state
		s.Current, s.Previous = Container{}, Container{}
		gone := served(from, could, s, Step{Do: Remove})
		s.Current = Container{Condition: Starting}
		return []path{gone, {s, append(gone.how, "starts")}}, path{s, append(gone.how, "the provider's own")}
	}
	update := func(from path) (killed []path, end path) {
		killed, taken := run(Take, from, true)
		between, made := provide(taken)
		after, end := run(End, made, true)
		return slices.Concat(killed, between, after), end
	}
	starts := []path{}
	everyState(func(s State) { starts = append(starts, path{s, []string{fmt.Sprintf("%+v", s)}}) })
	for _, start := range starts {
		killed, _ := update(start)
		for _, k := range killed {
			again := []path{k}
			_, recovered := run(Recover, k, true)
			for _, from := range append(again, recovered) {
				_, end := update(from)
				end.state.Made, end.state.Proven, end.state.Current.Orphan = false, false, false
				if end.state != containers(Ready, Missing, Missing) {
					t.Errorf("ends with %+v after %v", end.state, end.how)
				}
			}
		}
	}
}
