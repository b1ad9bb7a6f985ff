package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var portAllocation = Rule{
	Name:    "port-allocation",
	Level:   Mandatory,
	Refuses: "a container that listens on a port other than the ledger's for it, one that listens although the ledger gives it no port, one that should listen and declares no port, and one port declared twice",
	Why:     "Caddy sends a host to the port that the ledger gives its container; on another port the app is down, or answers for somebody else.",
	Seed:    "§3 port assignment map, §12 critical rule 5",
	Unknown: "Refuses: an environment entry or a command that is not known may set a port.",
	Remedy:  "Let the container take its port from `PORT`, which `components.Workload` sets from the ledger. `bin/alorig ledger` shows the ports that are taken.",
	Resource: func(f *Fleet, r declared.Resource) []ledger.Finding {
		if r.Type != declared.TypeContainer {
			return nil
		}
		p := ledger.Report{Subject: containerSubject(r)}
		name := containerName(r)
		var own []int
		says, remedy := "the ledger gives it no port", "Drop the port, or give the container one in internal/ledger/alorig.go."
		c, isApp := f.ContainerNamed(name)
		if s, ok := f.ServiceNamed(name); ok {
			own = append([]int{s.Port}, s.HostPorts...)
		} else if isApp && c.Port != 0 {
			own = []int{c.Port}
		}
		if len(own) > 0 {
			says, remedy = fmt.Sprintf("the ledger gives it port %d", own[0]), "Listen on the ledger's port."
		}
		variables := environment(r)
		unreadableEntries(&p, variables, "a port")
		ports, unread := listens(r, variables)
		for _, problem := range unread {
			p.Add(problem+" and may hold a port", says, "Give the command as plain text.")
		}
		for _, l := range ports {
			switch {
			case l.port == 0:
				p.Add("sets a port in "+l.path+" that is no port number", says, remedy)
			case !slices.Contains(own, l.port):
				p.Add(fmt.Sprintf("listens on port %d by %s", l.port, l.path), says, remedy)
			}
		}
		if isApp && c.Port != 0 && len(p.Findings) == 0 && len(ports) == 0 {
			p.Add("declares no port", says, "Set PORT, so that what the image defaults to cannot decide.")
		}
		return p.Findings
	},
	Stack: func(_ *Fleet, rs []declared.Resource) []ledger.Finding {
		first := map[int]string{}
		var fs []ledger.Finding
		for _, r := range ofType(rs, declared.TypeContainer) {
			ports, _ := listens(r, environment(r))
			for _, l := range ports {
				subject := containerSubject(r)
				other, taken := first[l.port]
				if l.port == 0 || other == subject {
					continue
				}
				if !taken {
					first[l.port] = subject
					continue
				}
				fs = append(fs, ledger.Finding{
					Subject: subject, URN: r.URN,
					Problem: fmt.Sprintf("listens on port %d, as %s does", l.port, other),
					Ledger:  "a port is allocated once", Remedy: "Give each its own port of the ledger.",
				})
			}
		}
		return fs
	},
}

// listen is a port that a container is told to listen on; 0 when it is no port number.
type listen struct {
	path string
	port int
}

// Variables that servers take their port, or their arguments, from.
var (
	portVariables     = []string{"PORT", "UVICORN_PORT"}
	argumentVariables = []string{"GUNICORN_CMD_ARGS"}
)

// listens finds the ports a container is told to listen on, and the properties that
// cannot be read.
func listens(r declared.Resource, variables []variable) (ports []listen, unread []string) {
	for _, v := range variables {
		switch {
		case slices.Contains(portVariables, v.Key):
			ports = append(ports, listen{v.Path(), portNumber(v.Value)})
		case slices.Contains(argumentVariables, v.Key):
			for _, port := range commandPorts(strings.Fields(v.Value)) {
				ports = append(ports, listen{v.Path(), port})
			}
		}
	}
	for _, property := range []string{"entrypoints", "command"} {
		words, state := declared.ReadStrings(r.Props, property)
		if problem := unreadable(property, state); problem != "" {
			unread = append(unread, problem)
		}
		var fields []string // a shell's whole line may be one word
		for _, w := range words {
			fields = append(fields, strings.Fields(w)...)
		}
		for _, port := range commandPorts(fields) {
			ports = append(ports, listen{property, port})
		}
	}
	return ports, unread
}

var (
	addressPattern  = regexp.MustCompile(`^(?:\[[0-9A-Fa-f:.]*\]|[A-Za-z0-9.*-]*):([0-9]+)$`)
	everyInterface  = regexp.MustCompile(`^(?:0\.0\.0\.0|127\.0\.0\.1|localhost|\[::\]|\[::1\]|\*)?:([0-9]+)$`)
	endpointPattern = regexp.MustCompile(`(?:^|:)port=([0-9]+)`) // daphne -e tcp:port=8013, postgres -c port=5432
	portFlag        = regexp.MustCompile(`^(?:(--bind|--port)(?:=(.*))?|(-b|-p)(.*))$`)
)

// commandPorts finds the ports in a server's arguments: --bind, -b, --port and -p, in
// every way of writing their value, and addresses that stand alone.
func commandPorts(words []string) []int {
	var ports []int
	for i, word := range words {
		word = strings.Trim(word, `"'`)
		if m := portFlag.FindStringSubmatch(word); m != nil {
			value := strings.TrimPrefix(m[2]+m[4], "=")
			if value == "" && i+1 < len(words) {
				value = words[i+1]
			}
			if port, ok := boundPort(strings.Trim(value, `"'`)); ok {
				ports = append(ports, port)
				continue
			}
		}
		for _, pattern := range []*regexp.Regexp{everyInterface, endpointPattern} {
			if m := pattern.FindStringSubmatch(word); m != nil {
				ports = append(ports, portNumber(m[1]))
				break
			}
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// boundPort reads the value of a flag; ok is false for one that names no port, like a
// path or the broker URL that Celery's -b takes.
func boundPort(value string) (port int, ok bool) {
	if m := addressPattern.FindStringSubmatch(value); m != nil {
		return portNumber(m[1]), true
	}
	if value != "" && strings.Trim(value, "0123456789") == "" {
		return portNumber(value), true
	}
	return 0, false
}

// portNumber is the port a text stands for; 0 when it is none.
func portNumber(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 65535 {
		return 0
	}
	return n
}
