// Package rules is the policy pack's rules, one rule a file, as pure functions over
// raw resources, whoever declared them. The pack (package policy), the check before
// an update and `alorig check` judge with the same functions.
//
// A resource rule sees a resource's inputs, a stack rule its outputs. No rule ever
// prints: standard output belongs to the Pulumi engine. No finding carries a value that may
// be a secret: it names the property path instead.
package rules

import (
	"cmp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
)

// Level is how a rule is enforced. The zero value is no level: a test refuses it.
type Level string

// The enforcement levels in use.
const (
	Mandatory Level = "mandatory" // refuses the preview and the update
	Advisory  Level = "advisory"  // is shown, refuses nothing
)

// Rule is one rule of the pack. At least one of Resource and Stack is set. Besides,
// every rule reports what [ledger.Ledger.Check] finds under its name in the ledger that
// the Server component declares: the early gate.
type Rule struct {
	Name    string // kebab-case, as the Pulumi engine shows it
	Level   Level
	Refuses string // completes the sentence "It refuses …"
	Why     string // the reason, for people
	Seed    string // the seed's section, or the document, that asks for it
	Unknown string // what the rule does with a value that is not known at preview
	Remedy  string // what an operator does about it

	// Resource judges one resource by its inputs.
	Resource func(f *Fleet, r declared.Resource) []ledger.Finding
	// Stack judges all resources together by their outputs.
	Stack func(f *Fleet, rs []declared.Resource) []ledger.Finding
}

// Fleet is what rules judge against: the ledger this pack was built with.
type Fleet struct {
	*ledger.Index
	plain  map[string]any  // the ledger as the Server component should show it
	place  map[string]int  // app name to its place in the deployment order
	images map[string]bool // every image name the ledger runs
	zones  map[string]bool // every Cloudflare zone
}

// NewFleet prepares a ledger for judging.
func NewFleet(l ledger.Ledger) *Fleet {
	plain, err := l.Plain()
	if err != nil {
		panic(err) // a ledger is numbers and text
	}
	f := &Fleet{Index: ledger.NewIndex(l), plain: plain, place: map[string]int{}, images: map[string]bool{}, zones: map[string]bool{}}
	for _, image := range l.Images() {
		f.images[image] = true
	}
	for _, zone := range l.Zones() {
		f.zones[zone] = true
	}
	for i, a := range l.Apps {
		f.place[a.Name] = i
	}
	return f
}

// appNamed returns the app called name.
func (f *Fleet) appNamed(name string) (ledger.App, bool) {
	i, ok := f.place[name]
	if !ok {
		return ledger.App{}, false
	}
	return f.Apps[i], true
}

// JudgeResource runs every resource rule over one resource, and over the Server
// component the early gate of every rule.
func JudgeResource(f *Fleet, r declared.Resource) []ledger.Finding {
	return ledger.SortFindings(judgeResource(f, All(), r))
}

// Judge holds a whole stack against every rule, as a preview would.
func Judge(f *Fleet, rs []declared.Resource) []ledger.Finding {
	all := All()
	found := make([][]ledger.Finding, len(rs))
	var next atomic.Int64
	var judges sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		judges.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(rs); i = int(next.Add(1)) - 1 {
				found[i] = judgeResource(f, all, rs[i])
			}
		})
	}
	judges.Wait()
	fs := slices.Concat(found...)
	for _, rule := range all {
		fs = append(fs, rule.judgeStack(f, rs)...)
	}
	return ledger.SortFindings(fs)
}

func judgeResource(f *Fleet, all []Rule, r declared.Resource) []ledger.Finding {
	var gate earlyGate
	if r.Type == ledger.TypeServer {
		gate = newEarlyGate(r)
	}
	var fs []ledger.Finding
	for i := range all {
		fs = append(fs, all[i].judgeResource(f, r, gate)...)
	}
	return fs
}

// earlyGate is what is wrong with the ledger that the Server component declares, by
// rule. It is made once for all rules: a ledger of a thousand apps is not read twenty
// times.
type earlyGate map[string][]ledger.Finding

func newEarlyGate(server declared.Resource) earlyGate {
	shown, err := declaredLedger(server)
	if err != nil {
		return nil // the rule ledger-declared refuses it
	}
	gate := earlyGate{}
	for _, f := range shown.Check() {
		gate[f.Rule] = append(gate[f.Rule], f)
	}
	return gate
}

func (rule *Rule) judgeResource(f *Fleet, r declared.Resource, gate earlyGate) []ledger.Finding {
	fs := slices.Clone(gate[rule.Name])
	if rule.Resource != nil {
		fs = append(fs, rule.Resource(f, r)...)
	}
	return rule.finish(at(r, fs), r)
}

func (rule *Rule) judgeStack(f *Fleet, rs []declared.Resource) []ledger.Finding {
	if rule.Stack == nil {
		return nil
	}
	return rule.finish(rule.Stack(f, rs), rs...)
}

// finish puts the rule's name on its findings and takes every secret out of them. No
// rule shows a secret on purpose; this holds even for a name that somebody marked
// secret.
func (rule *Rule) finish(fs []ledger.Finding, rs ...declared.Resource) []ledger.Finding {
	if len(fs) == 0 {
		return nil
	}
	var pairs []string
	for _, r := range rs {
		pairs = appendSecrets(pairs, property.New(r.Props), false)
	}
	hide := strings.NewReplacer(pairs...)
	for i := range fs {
		fs[i].Rule = rule.Name
		fs[i].Subject, fs[i].Problem = hide.Replace(fs[i].Subject), hide.Replace(fs[i].Problem)
	}
	return fs
}

// appendSecrets collects the secret texts below v as pairs of a replacer.
func appendSecrets(pairs []string, v property.Value, secret bool) []string {
	secret = secret || v.Secret()
	switch {
	case v.IsString():
		// Anything shorter stands in every sentence.
		if s := v.AsString(); secret && len(s) > 3 {
			pairs = append(pairs, s, "(secret)")
		}
	case v.IsArray():
		for _, e := range v.AsArray().All {
			pairs = appendSecrets(pairs, e, secret)
		}
	case v.IsMap():
		m := v.AsMap()
		_, isConnection := m.GetOk("hostKey")
		for key, e := range m.AllStable {
			// The SDK marks a connection as a whole. Its user and host are no secret, and
			// to hide them would tear holes into half of all findings.
			public := isConnection && slices.Contains([]string{"host", "user", "hostKey"}, key)
			pairs = appendSecrets(pairs, e, secret && !public)
		}
	}
	return pairs
}

// Refusals keeps the findings of mandatory rules.
func Refusals(fs []ledger.Finding) []ledger.Finding {
	mandatory := map[string]bool{}
	for _, rule := range All() {
		mandatory[rule.Name] = rule.Level == Mandatory
	}
	return slices.DeleteFunc(slices.Clone(fs), func(f ledger.Finding) bool { return !mandatory[f.Rule] })
}

// ofType returns the resources of a type in a fixed order: they arrive in none.
func ofType(rs []declared.Resource, types ...string) []declared.Resource {
	var some []declared.Resource
	for _, r := range rs {
		if slices.Contains(types, r.Type) {
			some = append(some, r)
		}
	}
	slices.SortFunc(some, func(a, b declared.Resource) int {
		return cmp.Or(cmp.Compare(a.URN, b.URN), cmp.Compare(a.Name, b.Name))
	})
	return some
}

// carriedOut returns the apps whose component of the type has the server's program do the
// verb: a component alone changes nothing on the server.
func carriedOut(rs []declared.Resource, component string, verb document.Verb) map[string]bool {
	apps := map[string]string{} // by the component's URN
	for _, r := range rs {
		if r.Type == component {
			apps[r.URN], _ = declared.Read[string](r.Props, "app")
		}
	}
	done := map[string]bool{}
	for _, r := range rs {
		app := apps[r.Parent]
		if app == "" || r.Type != declared.TypeRemoteCommand && r.Type != declared.TypeLocalCommand {
			continue
		}
		// What a stack rule sees, the provider may leave unknown in a preview.
		if line, state := declared.Read[string](r.Props, "create"); state != declared.Known || strings.HasSuffix(line, " "+string(verb)) {
			done[app] = true
		}
	}
	return done
}

// at puts the findings at a resource.
func at(r declared.Resource, fs []ledger.Finding) []ledger.Finding {
	for i := range fs {
		if fs[i].URN == "" {
			fs[i].URN = r.URN
		}
	}
	return fs
}
