package rules

import (
	"slices"
	"strconv"
	"strings"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var containerNameRule = Rule{
	Name:    "container-name",
	Level:   Mandatory,
	Refuses: "a container that the ledger does not know, that carries another app's label or runs another app's image, that is declared twice, any frontend container, and any Swarm service",
	Why:     "Names are how Caddy, the operator and the budget find a container; one that the ledger does not know is counted by nobody. Frontends are static files under Caddy.",
	Seed:    "§3 standard container set, §12 critical rules 6 and 7",
	Unknown: "Refuses a name or an app label that is not known. An image that is not known is compared during the update, when it is.",
	Remedy:  "Give the app a container entry in `internal/ledger/alorig.go` and declare it through `components.Workload`. Put a React build under Caddy with a `Static` route.",
	Resource: func(f *Fleet, r declared.Resource) []ledger.Finding {
		p := ledger.Report{Subject: containerSubject(r)}
		switch r.Type {
		case declared.TypeSwarmService:
			p.Subject = "service " + r.Name
			p.Add("is a Swarm service", "the ledger knows containers only", "Declare a container.")
		case declared.TypeContainer:
			judgeContainerName(f, r, &p)
		}
		return p.Findings
	},
	Stack: func(_ *Fleet, rs []declared.Resource) []ledger.Finding {
		first := map[string]string{}
		var fs []ledger.Finding
		for _, r := range ofType(rs, declared.TypeContainer) {
			name := containerName(r)
			if name == "" {
				continue
			}
			if other, taken := first[name]; taken {
				fs = append(fs, ledger.Finding{
					Subject: name, URN: r.URN,
					Problem: "is declared twice, as " + other + " and as " + r.Name,
					Ledger:  "a container name exists once on the server", Remedy: "Drop one of the two.",
				})
				continue
			}
			first[name] = r.Name
		}
		return fs
	},
}

func judgeContainerName(f *Fleet, r declared.Resource, p *ledger.Report) {
	name, state := declared.Read[string](r.Props, "name")
	if state != declared.Known || name == "" {
		p.Add("has no name"+describe(state), "every container has its fixed name", "Set name to the ledger's: {app}_{role}.")
		return
	}
	image := imageName(r)
	c, isApp := f.ContainerNamed(name)
	_, isService := f.ServiceNamed(name)
	switch {
	case isFrontend(name, image):
		p.Add("is a frontend container", "frontends are static builds that Caddy serves (seed §3)",
			"Drop the container and give the app a Static route.")
		return
	case !isApp && !isService:
		says, remedy := "the ledger has no such container", "Add it to its app in internal/ledger/alorig.go, or drop it."
		if reserved, ok := f.ReservedContainer(name); ok {
			says, remedy = "the name belongs to "+reserved.Name+", which another project deploys", "Drop it from this program."
		} else if app, role, ok := strings.Cut(name, "_"); ok {
			if a, known := f.appNamed(app); known {
				says = a.Name + " has " + roles(a) + ", and no " + strconv.Quote(role)
			}
		}
		p.Add("is not in the ledger", says, remedy)
		return
	}
	label, state := containerLabel(r, ledger.LabelApp)
	switch {
	case isApp && (state != declared.Known || label != c.App.Name):
		found := "has no label " + ledger.LabelApp + describe(state)
		if state == declared.Known {
			found = "carries the label " + ledger.LabelApp + "=" + label
		}
		p.Add(found, "the container belongs to "+c.App.Name, "Set the label "+ledger.LabelApp+" to "+c.App.Name+".")
	case isService && state == declared.Known && label != "":
		p.Add("carries the label "+ledger.LabelApp+"="+label, "it is a shared service and belongs to no app", "Drop the label.")
	case isService && (state == declared.Unknown || state == declared.WrongType):
		p.Add("has no label "+ledger.LabelApp+describe(state), "it is a shared service and belongs to no app", "Drop the label.")
	}
	if isApp && image != c.Image && f.images[image] {
		p.Add("runs the image "+image, "the ledger gives it "+c.Image, "Correct the image reference.")
	}
}

func roles(a ledger.App) string {
	names := make([]string, len(a.Containers))
	for i, c := range a.Containers {
		names[i] = string(c.Role)
	}
	return strings.Join(names, ", ")
}

// imageName is the last part of a container's image reference without tag and digest;
// "" when it is not known.
func imageName(r declared.Resource) string {
	image, _ := declared.Read[string](r.Props, "image")
	image, _, _ = strings.Cut(image, "@")
	image = image[strings.LastIndex(image, "/")+1:]
	image, _, _ = strings.Cut(image, ":")
	return image
}

func isFrontend(name, image string) bool {
	return strings.HasSuffix(name, "_frontend") || strings.HasSuffix(image, "-frontend") ||
		slices.Contains([]string{"nginx", "nginx-unprivileged", "httpd"}, image)
}
