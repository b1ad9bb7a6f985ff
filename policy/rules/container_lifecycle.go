package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var containerLifecycle = Rule{
	Name:    "container-lifecycle",
	Level:   Mandatory,
	Refuses: "a container without restart policy, health check, stop grace or log rotation, and one that a refresh would delete (mustRun)",
	Why:     "Without a restart policy a reboot ends an app. Without a stop grace every replace kills workers in mid-task. Unrotated logs fill the disk. And with mustRun, the provider's default, `pulumi refresh` deletes a container that is stopped, even in a preview.",
	Seed:    "§10 post-deployment monitoring; field experience with the Docker provider",
	Unknown: "Refuses: these are plain settings and always known.",
	Remedy:  "Declare the container through `components.Workload`, which sets all of them.",
	Resource: func(f *Fleet, r declared.Resource) []ledger.Finding {
		if r.Type != declared.TypeContainer {
			return nil
		}
		p := ledger.Report{Subject: containerSubject(r)}
		restarts := []string{"unless-stopped", "always"}
		if onDemand(f, r) {
			restarts = append(restarts, "no")
		}
		if restart, state := declared.Read[string](r.Props, "restart"); !slices.Contains(restarts, restart) {
			found := "has no restart policy" + describe(state)
			if state == declared.Known {
				found = "has the restart policy " + restart
			}
			p.Add(found, "a container comes back after a crash and a reboot", "Set restart to unless-stopped.")
		}
		check, state := declared.Read[property.Map](r.Props, "healthcheck")
		tests, tested := declared.ReadStrings(check, "tests")
		if state != declared.Known || tested != declared.Known || len(tests) == 0 || strings.EqualFold(tests[0], "NONE") {
			p.Add("has no health check"+describe(max(state, tested)), "the next app waits for every container to be healthy", "Set healthcheck.tests.")
		}
		for _, grace := range []string{"stopTimeout", "destroyGraceSeconds"} {
			if n, state := declared.ReadInt(r.Props, grace); state != declared.Known || n <= 0 {
				found := "has no " + grace + describe(state)
				if state == declared.Known {
					found = fmt.Sprintf("has %s %d", grace, n)
				}
				p.Add(found, "a container is asked to stop before it is killed", "Set "+grace+" to the seconds its work may take.")
			}
		}
		judgeLogs(r, &p)
		if mustRun, state := declared.Read[bool](r.Props, "mustRun"); state != declared.Known || mustRun {
			p.Add("has mustRun on, or may", "a refresh deletes a stopped container with mustRun, the default", "Set mustRun to false.")
		}
		return p.Findings
	},
}

func judgeLogs(r declared.Resource, p *ledger.Report) {
	const says = "logs are rotated by Docker: at most max-file files of max-size"
	driver, state := declared.Read[string](r.Props, "logDriver")
	if problem := unreadable("logDriver", state); problem != "" {
		p.Add(problem, says, "Set logDriver to local or json-file.")
	} else if !slices.Contains([]string{"", "json-file", "local"}, driver) {
		p.Add("has the log driver "+driver, says, "Set logDriver to local or json-file.")
	}
	options, _ := declared.Read[property.Map](r.Props, "logOpts")
	for _, option := range []string{"max-size", "max-file"} {
		if value, state := declared.Read[string](options, option); state != declared.Known || value == "" || value == "-1" {
			p.Add("has no logOpts "+option+describe(state), says, "Set logOpts max-size and max-file.")
		}
	}
}
