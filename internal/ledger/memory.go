package ledger

import "fmt"

// Totals is what a set of ledger entries takes of the server's memory.
type Totals struct {
	Steady    MiB `json:"steady"`    // steady state of all that always runs
	Limits    MiB `json:"limits"`    // all hard limits of all that always runs
	Transient MiB `json:"transient"` // the largest thing that runs beside it for a while
}

// Peak is the memory that the server must have: all hard limits at once, and the largest
// transient.
func (t Totals) Peak() MiB { return t.Limits + t.Transient }

// Totals sums the ledger. Only one transient runs at a time: Flower while somebody
// looks, or during an update the next version of one serving container beside the
// container it replaces.
func (l Ledger) Totals() Totals {
	var t Totals
	add := func(m Memory) { t.Steady += m.Steady; t.Limits += m.Limit }
	for _, r := range l.Reserved {
		add(r.Memory)
	}
	for _, s := range l.Services {
		if s.OnDemand {
			t.Transient = max(t.Transient, s.Memory.Limit)
			continue
		}
		add(s.Memory)
	}
	for _, a := range l.Apps {
		for _, c := range a.Containers {
			add(c.Memory)
			if c.Role.Serves() {
				t.Transient = max(t.Transient, c.Memory.Limit)
			}
		}
	}
	return t
}

// Steady is the steady state of the app's containers together.
func (a App) Steady() MiB {
	var sum MiB
	for _, c := range a.Containers {
		sum += c.Memory.Steady
	}
	return sum
}

// Limits is the sum of the hard limits of the app's containers.
func (a App) Limits() MiB {
	var sum MiB
	for _, c := range a.Containers {
		sum += c.Memory.Limit
	}
	return sum
}

// Data is how much a Redis service may hold (its maxmemory). While it writes its file anew, what
// changes meanwhile is there twice, so two times as much must fit below its hard limit, with a tenth
// of that left for the rest. With 91 % as maxmemory, one of a tenth of this size was killed for
// memory as soon as its keys were overwritten during a rewrite, which starts by itself.
func (s Service) Data() MiB { return s.Memory.Limit * 9 / 20 }

// SharedMemory is how large /dev/shm of a PostgreSQL service is; what it takes counts against the hard
// limit. The processes of a parallel query share their hash tables there. Of Docker's own 64 MB, a join of two
// tables of two million rows took more, and ended with "could not resize shared memory segment".
func (s Service) SharedMemory() MiB { return s.Memory.Limit / 8 }

// Rung is one step of the RAM ladder: the server after an app has been deployed.
type Rung struct {
	After     string `json:"after"` // app name; "" before the first app
	Title     string `json:"title"`
	Added     MiB    `json:"added"`     // the app's budget
	Steady    MiB    `json:"steady"`    // steady state of the whole server
	Headroom  MiB    `json:"headroom"`  // server memory less steady state
	ToTrigger MiB    `json:"toTrigger"` // upgrade trigger less steady state
	Limits    MiB    `json:"limits"`    // all hard limits
	Peak      MiB    `json:"peak"`      // hard limits with the transient
}

// Ladder returns the server's memory before the first app and after each (seed §2:
// "monitor RAM after each before proceeding").
func (l Ledger) Ladder() []Rung {
	rungs := make([]Rung, 0, len(l.Apps)+1)
	for i := -1; i < len(l.Apps); i++ {
		stage := l
		stage.Apps = l.Apps[:i+1]
		t := stage.Totals()
		r := Rung{
			Title: "Shared services, IGNY8, OS", Steady: t.Steady, Added: t.Steady,
			Headroom: l.Server.Memory - t.Steady, ToTrigger: l.Server.UpgradeTrigger - t.Steady,
			Limits: t.Limits, Peak: t.Peak(),
		}
		if i >= 0 {
			r.After, r.Title, r.Added = l.Apps[i].Name, l.Apps[i].Title, l.Apps[i].Steady()
		}
		rungs = append(rungs, r)
	}
	return rungs
}

func checkMemory(l Ledger, report *Report) {
	entry := func(name string, m Memory) {
		report.About("container-memory", name)
		if m.Steady <= 0 || m.Limit <= 0 {
			report.Add(fmt.Sprintf("books %d MiB steady and %d MiB hard limit", m.Steady, m.Limit),
				"every entry needs a positive amount of both", "Set Memory.Steady and Memory.Limit in internal/ledger.")
		} else if m.Limit < m.Steady {
			report.Add(fmt.Sprintf("has a hard limit of %d MiB, below its steady state of %d MiB", m.Limit, m.Steady),
				"the kernel would kill it in normal running", "Raise Memory.Limit to at least Memory.Steady.")
		}
	}
	for _, r := range l.Reserved {
		entry(r.Name, r.Memory)
	}
	for _, s := range l.Services {
		entry(s.Container, s.Memory)
		if s.Kind != Redis {
			continue
		}
		if s.Memory.Steady > s.Data() {
			report.Add(fmt.Sprintf("holds %d MiB in steady state", s.Memory.Steady),
				fmt.Sprintf("it may hold %d MiB, nine twentieths of its hard limit, since what changes during a rewrite of its file is there twice", s.Data()),
				"Raise Memory.Limit, or lower Memory.Steady.")
		}
		if s.Memory.Limit < l.Server.RedisMemory {
			report.Add(fmt.Sprintf("has a hard limit of %d MiB", s.Memory.Limit),
				fmt.Sprintf("it is reviewed when it takes %d MiB (seed §10), which it could never reach", l.Server.RedisMemory),
				"Raise Memory.Limit to at least Server.RedisMemory.")
		}
	}
	for _, a := range l.Apps {
		for _, c := range a.Containers {
			entry(ContainerName(a.Name, c.Role), c.Memory)
		}
		if a.Steady() > a.Budget {
			report.About("app-memory-budget", a.Name).Add(
				fmt.Sprintf("its containers reserve %d MiB in steady state", a.Steady()),
				fmt.Sprintf("its budget is %d MiB (%s)", a.Budget, a.Budget),
				"Lower Memory.Steady of its containers, or have the owner raise the budget.")
		}
	}
	t := l.Totals()
	if t.Steady > l.Server.UpgradeTrigger {
		report.About("fleet-memory-budget", "server").Add(
			fmt.Sprintf("steady state comes to %d MiB (%s)", t.Steady, t.Steady),
			fmt.Sprintf("the upgrade trigger is %d MiB (%s)", l.Server.UpgradeTrigger, l.Server.UpgradeTrigger),
			"Stop the rollout: upgrade the server or split the heaviest app (seed §10).")
	}
	if t.Peak() > l.Server.Memory {
		report.About("host-memory-ceiling", "server").Add(
			fmt.Sprintf("all hard limits come to %d MiB, and %d MiB more while something runs on demand or is replaced", t.Limits, t.Transient),
			fmt.Sprintf("the server has %d MiB (%s)", l.Server.Memory, l.Server.Memory),
			"Lower hard limits until every container can reach its own at once.")
	}
}
