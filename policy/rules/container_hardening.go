package rules

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var containerHardening = Rule{
	Name:    "container-hardening",
	Level:   Mandatory,
	Refuses: "a privileged container, one with added capabilities, devices or a namespace of the server, one that can reach the Docker socket (Portainer alone may) or the data of a shared service, and one without no-new-privileges; an app container must drop all capabilities",
	Why:     "Six products from as many teams share one kernel. A container that can become root on the server, or speak to Docker, owns all of them.",
	Seed:    "§1 Portainer as Docker GUI, §10 inter-app isolation",
	Unknown: "Refuses: a setting that is not known may open the server.",
	Remedy:  "Declare the container through `components.Workload`, which drops everything. A shared service may add back: " + strings.Join(serviceCapabilities, ", ") + ".",
	Resource: func(f *Fleet, r declared.Resource) []ledger.Finding {
		if r.Type != declared.TypeContainer {
			return nil
		}
		p := ledger.Report{Subject: containerSubject(r)}
		service, isService := f.ServiceNamed(containerName(r))
		if privileged, state := declared.Read[bool](r.Props, "privileged"); privileged || state == declared.Unknown || state == declared.WrongType {
			p.Add("is privileged, or may be", "no container is", "Leave privileged unset.")
		}
		judgeNamespaces(r, &p)
		judgeSecurityOptions(r, &p)
		judgeCapabilities(r, isService, &p)
		judgeSockets(r, isService && service.Kind == ledger.Portainer, &p)
		judgeDataVolumes(f, r, &p)
		if devices, state := declared.ReadMaps(r.Props, "devices"); len(devices) > 0 || state == declared.Unknown || state == declared.WrongType {
			p.Add("is given devices of the server, or may be", "no container is", "Drop devices.")
		}
		return p.Findings
	},
}

// Namespaces that a container may share with nobody, and what each setting may be.
var namespaces = []struct {
	property string
	allowed  []string
}{
	{"pidMode", []string{""}},
	{"ipcMode", []string{"", "private", "shareable", "none"}},
	{"usernsMode", []string{""}},
	{"cgroupnsMode", []string{"", "private"}},
	{"cgroupParent", []string{""}},
}

func judgeNamespaces(r declared.Resource, p *ledger.Report) {
	for _, n := range namespaces {
		mode, state := declared.Read[string](r.Props, n.property)
		if problem := unreadable(n.property, state); problem != "" {
			p.Add(problem, "a container has its own namespaces", "Leave "+n.property+" unset.")
		} else if !slices.Contains(n.allowed, mode) {
			p.Add("has "+n.property+" "+mode, "a container has its own namespaces", "Leave "+n.property+" unset.")
		}
	}
}

func judgeSecurityOptions(r declared.Resource, p *ledger.Report) {
	options, state := declared.ReadStrings(r.Props, "securityOpts")
	const says = "every container has no-new-privileges:true and keeps Docker's own profiles"
	if problem := unreadable("securityOpts", state); problem != "" {
		p.Add(problem, says, "Set securityOpts to no-new-privileges:true.")
		return
	}
	hardened := false
	for _, o := range options {
		// Docker takes "=" for ":" here.
		switch strings.Replace(o, "=", ":", 1) {
		case "no-new-privileges", "no-new-privileges:true":
			hardened = true
		default:
			p.Add("has the security option "+o, says, "Drop it.")
		}
	}
	if !hardened {
		p.Add("lacks no-new-privileges", says, "Set securityOpts to no-new-privileges:true.")
	}
}

// What the images of shared services need while they start: to take over their data
// directory, to leave root, to bind 80 and 443.
var serviceCapabilities = []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "NET_BIND_SERVICE", "SETGID", "SETUID"}

func judgeCapabilities(r declared.Resource, isService bool, p *ledger.Report) {
	capabilities, state := declared.Read[property.Map](r.Props, "capabilities")
	if problem := unreadable("capabilities", state); problem != "" {
		p.Add(problem, "no container adds capabilities", "Drop ALL capabilities.")
		return
	}
	added, state := declared.ReadStrings(capabilities, "adds")
	if problem := unreadable("capabilities.adds", state); problem != "" {
		p.Add(problem, "no container adds capabilities", "Drop adds.")
	}
	for _, c := range added {
		if isService && slices.Contains(serviceCapabilities, strings.TrimPrefix(c, "CAP_")) {
			continue
		}
		says := "an app's container has none"
		if isService {
			says = "a shared service may add " + strings.Join(serviceCapabilities, ", ")
		}
		p.Add("adds the capability "+c, says, "Drop it.")
	}
	dropped, state := declared.ReadStrings(capabilities, "drops")
	if !isService && (state != declared.Known || !slices.Contains(dropped, "ALL")) {
		p.Add("keeps capabilities", "an app's container drops ALL", "Set capabilities.drops to ALL.")
	}
}

// Container engines' sockets. Whoever speaks to one is root on the server.
var engineSockets = []string{
	"/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock", "/run/podman/podman.sock",
}

func judgeSockets(r declared.Resource, mayDocker bool, p *ledger.Report) {
	const says = "Portainer alone may reach Docker"
	paths := func(array, property string) {
		mounts, state := declared.ReadMaps(r.Props, array)
		if problem := unreadable(array, state); problem != "" {
			p.Add(problem, says, "Give "+array+" in plain text.")
		}
		for i, m := range mounts {
			source, state := declared.Read[string](m, property)
			at := fmt.Sprintf("%s[%d].%s", array, i, property)
			if problem := unreadable(at, state); problem != "" {
				p.Add(problem, says, "Give it in plain text.")
			}
			if opened := socketIn(source); opened != "" && (!mayDocker || path.Base(path.Clean(source)) != "docker.sock") {
				p.Add("mounts "+source+", which holds "+opened, says, "Drop the mount.")
			}
		}
	}
	paths("volumes", "hostPath")
	paths("mounts", "source")
	volumes, _ := declared.ReadMaps(r.Props, "volumes")
	for i, v := range volumes {
		if from, state := declared.Read[string](v, "fromContainer"); from != "" || state == declared.Unknown || state == declared.WrongType {
			p.Add(fmt.Sprintf("takes over the mounts of another container by volumes[%d].fromContainer", i), says, "Name the volume itself.")
		}
	}
}

// judgeDataVolumes refuses the volume of a shared service in any other container:
// whoever mounts PostgreSQL's has every app's data.
func judgeDataVolumes(f *Fleet, r declared.Resource, p *ledger.Report) {
	for _, array := range []struct{ name, property string }{{"volumes", "volumeName"}, {"mounts", "source"}} {
		mounts, _ := declared.ReadMaps(r.Props, array.name) // judgeSockets refuses what cannot be read
		for i, m := range mounts {
			name, state := declared.Read[string](m, array.property)
			at := fmt.Sprintf("%s[%d].%s", array.name, i, array.property)
			if state == declared.Unknown && array.name == "volumes" {
				p.Add(at+" is not known at preview", "a shared service alone mounts its data", "Name the volume in plain text.")
			}
			for _, s := range f.Services {
				if name == ledger.Volume(s.Container) && containerName(r) != s.Container {
					p.Add("mounts the data of "+s.Container+" by "+at, "a shared service alone mounts its data", "Drop the mount.")
				}
			}
		}
	}
}

// socketIn is the engine socket that a mount of the path would hold; "" when none.
func socketIn(source string) string {
	if !strings.HasPrefix(source, "/") {
		return ""
	}
	source = path.Clean(source)
	for _, s := range engineSockets {
		if s == source || strings.HasPrefix(s, strings.TrimSuffix(source, "/")+"/") {
			return s
		}
	}
	if path.Base(source) == "docker.sock" {
		return source
	}
	return ""
}
