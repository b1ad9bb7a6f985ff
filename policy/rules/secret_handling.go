package rules

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var secretHandling = Rule{
	Name:    "secret-handling",
	Level:   Mandatory,
	Refuses: "a credential that is not marked secret, a secret on a command line or in a label, a command that logs its secret input, and an SSH connection that trusts any host key",
	Why:     "What is not marked secret stands in clear text in the state, in every preview and in CI logs. A command line is seen by everybody on the server, and a connection without a host key gives the credentials to whoever answers.",
	Seed:    "§4 encrypted credentials; field experience with the command provider",
	Unknown: "Refuses an entry that is not known and not marked secret: nobody can tell what it will hold. A command line that is not known is judged during the update, when it is.",
	Remedy:  "Set it with `pulumi config set --secret`; `internal/settings` hands it on marked as secret. Wrap what is made from it in `pulumi.ToSecret`. Give secrets to a command on stdin, with `logging` none. Pin `connection.hostKey`.",
	Resource: func(_ *Fleet, r declared.Resource) []ledger.Finding {
		p := ledger.Report{Subject: r.Name}
		switch {
		case r.Type == declared.TypeContainer:
			p.Subject = containerSubject(r)
			judgeContainerSecrets(r, &p)
		case r.Type == declared.TypeRole:
			mustBeSecret(r.Props, "password", "password", false, &p)
		case strings.HasPrefix(r.Type, "command:"):
			judgeCommandSecrets(r, &p)
		case strings.HasPrefix(r.Type, "pulumi:providers:"):
			p.Subject = "provider " + r.Name
			for _, key := range providerCredentials {
				mustBeSecret(r.Props, key, key, false, &p)
			}
			judgeRegistries(r, &p)
		}
		return p.Findings
	},
}

const (
	saysSecret   = "credentials are secrets of the configuration"
	remedySecret = "Mark it secret: pulumi config set --secret, or pulumi.ToSecret."
	saysStdin    = "everybody on the server sees command lines and labels"
	remedyStdin  = "Give it on stdin, or in the environment as a secret."
)

// Provider inputs that are credentials.
var providerCredentials = []string{"password", "apiToken", "apiKey", "apiUserServiceKey", "keyMaterial"}

var (
	credentialKey = regexp.MustCompile(`(?i)SECRET|TOKEN|PASSWORD|PASSWD|_KEY$|API_?KEY|PRIVATE|CREDENTIAL|DSN`)
	harmlessKey   = regexp.MustCompile(`(?i)KEY_PREFIX$|_FILE$`)
	publicKey     = regexp.MustCompile(`(?i)PUBLIC|PUBLISHABLE`)
	privateKey    = regexp.MustCompile(`(?i)SECRET|PRIVATE|PASSWORD|PASSWD`)
	urlStart      = regexp.MustCompile(`(?i)\b[a-z][a-z0-9+.-]*://`)

	assignment = newPattern("", `(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY)["']?\s*(?:[=:]\s*["']?|\s["'])[^\s"'{}$,;]`,
		"password", "passwd", "secret", "token", "apikey", "api_key")
	aclUser = newPattern(`^\s*`, `(?:acl\s+setuser|user)\s+\S+\s.*[\s"'][>#]\S`, "acl", "user")
)

// isCredentialKey reports whether a variable of the name holds a credential.
func isCredentialKey(key string) bool {
	if !credentialKey.MatchString(key) || harmlessKey.MatchString(key) {
		return false
	}
	return !publicKey.MatchString(key) || privateKey.MatchString(key)
}

// hasURLPassword reports whether a URL with a password stands in the text. One that
// cannot be parsed counts when it looks like it.
func hasURLPassword(text string) bool {
	if !strings.Contains(text, "@") {
		return false
	}
	for i, u := range urlsIn(text, urlStart) {
		if u == nil {
			at := urlStart.FindAllStringIndex(text, -1)[i]
			user, _, ok := strings.Cut(text[at[1]:], "@")
			if ok && strings.Contains(user, ":") {
				return true
			}
			continue
		}
		if password, set := userPassword(u); set && password != "" {
			return true
		}
	}
	return false
}

func userPassword(u *url.URL) (string, bool) {
	if u.User == nil {
		return "", false
	}
	return u.User.Password()
}

// carriesCredential reports whether a text of several lines holds a credential: a URL
// with a password, an assignment to something like a password, a password of a
// Redis user, or its hash.
func carriesCredential(text string) bool {
	if hasURLPassword(text) {
		return true
	}
	return assignment.matches(text) || aclUser.matches(text)
}

// pattern is an expression that is blind to case and begins with one of its words. Such
// an expression has no fixed start to look for, and takes twenty times as long over a
// script as a look at the places where the words stand.
type pattern struct {
	anywhere *regexp.Regexp
	here     *regexp.Regexp // at the beginning of a text
	line     bool           // only blanks may stand before it in its line
	words    []string       // in small letters
}

func newPattern(before, expression string, words ...string) pattern {
	return pattern{
		anywhere: regexp.MustCompile(`(?im)` + before + expression), here: regexp.MustCompile(`(?im)\A` + expression),
		line: before != "", words: words,
	}
}

// matches reports whether the pattern stands in the text.
func (p pattern) matches(text string) bool {
	if strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) {
		return p.anywhere.MatchString(text) // a small letter may have another length than its capital
	}
	lower := strings.ToLower(text)
	for _, word := range p.words {
		for at := strings.Index(lower, word); at >= 0; {
			if (!p.line || startsLine(text[:at])) && p.here.MatchString(text[at:]) {
				return true
			}
			next := strings.Index(lower[at+1:], word)
			if next < 0 {
				break
			}
			at += 1 + next
		}
	}
	return false
}

// startsLine reports whether what follows the text is the first word of a line.
func startsLine(before string) bool {
	written := strings.TrimRight(before, " \t\n\f\r")
	return written == "" || strings.Contains(before[len(written):], "\n")
}

func judgeContainerSecrets(r declared.Resource, p *ledger.Report) {
	for _, v := range environment(r) {
		if v.Secret {
			continue
		}
		if problem := unreadable(v.Path(), v.State); problem != "" {
			p.Add(problem+" and is not marked secret", saysSecret, remedySecret)
		} else if v.Value != "" && isCredentialKey(v.Key) || hasURLPassword(v.Value) {
			p.Add("holds a credential in "+v.Path()+" that is not marked secret", saysSecret, remedySecret)
		}
	}
	health, _ := declared.Read[property.Map](r.Props, "healthcheck")
	for path, v := range map[string]property.Value{
		"command": r.Props.Get("command"), "entrypoints": r.Props.Get("entrypoints"),
		"labels": r.Props.Get("labels"), "healthcheck.tests": health.Get("tests"),
	} {
		mustNotCarry(path, v, p)
	}
	if r.Props.Get("healthcheck").Secret() {
		p.Add("carries a secret in healthcheck", saysStdin, remedyStdin)
	}
	uploads, _ := declared.ReadMaps(r.Props, "uploads")
	for i, u := range uploads {
		content, _ := declared.Read[string](u, "content")
		if carriesCredential(content) && !u.Get("content").Secret() && !r.Props.Get("uploads").Secret() {
			p.Add(fmt.Sprintf("holds a credential in uploads[%d].content that is not marked secret", i), saysSecret, remedySecret)
		}
	}
}

// judgeRegistries judges the Docker provider's logins. A provider's list may come as
// JSON text.
func judgeRegistries(r declared.Resource, p *ledger.Report) {
	logins := r.Props.Get("registryAuth")
	if logins.Secret() {
		return
	}
	if text, _ := declared.As[string](logins); strings.Contains(text, `"password"`) || logins.IsComputed() {
		p.Add("has the credential registryAuth, which is not marked secret", saysSecret, remedySecret)
	}
	list, _ := declared.As[property.Array](logins)
	for i, v := range list.All {
		login, _ := declared.As[property.Map](v)
		mustBeSecret(login, "password", fmt.Sprintf("registryAuth[%d].password", i), v.Secret(), p)
	}
}

// mustNotCarry refuses a secret, and a credential, where people can read it.
func mustNotCarry(path string, v property.Value, p *ledger.Report) {
	switch {
	case v.HasSecrets():
		p.Add("carries a secret in "+path, saysStdin, remedyStdin)
	case anyText(v, carriesCredential):
		p.Add("carries a credential in "+path, saysStdin, remedyStdin)
	}
}

// anyText reports whether a text below v satisfies the condition.
func anyText(v property.Value, condition func(string) bool) bool {
	switch {
	case v.IsString():
		return condition(v.AsString())
	case v.IsArray():
		for _, e := range v.AsArray().All {
			if anyText(e, condition) {
				return true
			}
		}
	case v.IsMap():
		for _, e := range v.AsMap().All {
			if anyText(e, condition) {
				return true
			}
		}
	}
	return false
}

// mustBeSecret refuses a credential that is set and not marked secret, neither itself
// nor as part of something that is.
func mustBeSecret(m property.Map, key, path string, within bool, p *ledger.Report) {
	v := m.Get(key)
	if v.IsNull() || within || v.Secret() {
		return
	}
	if text, state := declared.As[string](v); state == declared.Known && text == "" {
		return
	}
	p.Add("has the credential "+path+", which is not marked secret", saysSecret, remedySecret)
}

func judgeCommandSecrets(r declared.Resource, p *ledger.Report) {
	p.Subject = "command " + r.Name
	create := r.Props.Get("create")
	mustNotCarry("create", create, p)
	for _, key := range []string{"update", "delete", "interpreter"} {
		if v := r.Props.Get(key); !v.Equals(create) { // an update mostly repeats the create
			mustNotCarry(key, v, p)
		}
	}
	if triggers := r.Props.Get("triggers"); !triggers.HasSecrets() && anyText(triggers, carriesCredential) {
		p.Add("holds a credential in triggers that is not marked secret", saysSecret, remedySecret)
	}
	judgeCommandEnvironment(r, p)

	stdin := r.Props.Get("stdin")
	text, _ := declared.As[string](stdin)
	if !stdin.Secret() && carriesCredential(text) {
		p.Add("holds a credential in stdin that is not marked secret", saysSecret, remedySecret)
	}
	if logging, _ := declared.Read[string](r.Props, "logging"); stdin.Secret() && logging != "none" {
		p.Add("may log what its secret stdin makes it print", "output is logged even when it is marked secret", "Set logging to none.")
	}
	if strings.HasPrefix(r.Type, "command:remote:") {
		connection := r.Props.Get("connection")
		judgeConnection(connection, "connection", connection.Secret(), p)
	}
}

func judgeCommandEnvironment(r declared.Resource, p *ledger.Report) {
	whole := r.Props.Get("environment")
	if whole.Secret() {
		return
	}
	environment, state := declared.As[property.Map](whole)
	if problem := unreadable("environment", state); problem != "" {
		p.Add(problem+" and is not marked secret", saysSecret, remedySecret)
	}
	for key, v := range environment.AllStable {
		if v.Secret() {
			continue
		}
		text, state := declared.As[string](v)
		if problem := unreadable("environment."+key, state); problem != "" {
			p.Add(problem+" and is not marked secret", saysSecret, remedySecret)
		} else if text != "" && isCredentialKey(key) || hasURLPassword(text) {
			p.Add("holds a credential in environment."+key+" that is not marked secret", saysSecret, remedySecret)
		}
	}
}

// judgeConnection judges how a remote command reaches its server.
func judgeConnection(v property.Value, path string, secret bool, p *ledger.Report) {
	connection, state := declared.As[property.Map](v)
	if state != declared.Known {
		p.Add("has no "+path+describe(state), "a remote command pins the server's host key", "Take the connection from the configuration.")
		return
	}
	for _, key := range []string{"privateKey", "password", "privateKeyPassword"} {
		mustBeSecret(connection, key, path+"."+key, secret, p)
	}
	hostKey, state := declared.Read[string](connection, "hostKey")
	if state == declared.Absent || state == declared.WrongType || state == declared.Known && hostKey == "" {
		p.Add("has no "+path+".hostKey", "without one the provider takes any host key", "Pin the server's host key: ssh-keyscan -t ed25519, compared with the server's own.")
	}
	if proxy := connection.Get("proxy"); !proxy.IsNull() {
		judgeConnection(proxy, path+".proxy", secret || proxy.Secret(), p)
	}
}
