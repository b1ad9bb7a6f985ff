// Package settingstest makes up the configuration of a real server, for tests.
package settingstest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// Canary stands in every secret but the private key. Nothing may show it.
const Canary = "c4n4ry"

// InUse is a configuration as Pulumi hands it to a program: the values of the keys, without
// their namespace and decrypted, and which of them are secret. Nothing is missing, and
// nothing is a documentation value.
func InUse(l ledger.Ledger, apps workload.Apps) (values map[string]string, secret map[string]bool) {
	zones, images := map[string]string{}, map[string]string{}
	for i, zone := range l.Zones() {
		zones[zone] = fmt.Sprintf("9f8e7d6c5b4a3928%016x", 0xa1b2c3d4e5f60718+uint64(i))
	}
	for _, image := range l.Images() {
		images[image] = "ghcr.io/alorig/" + image + "@sha256:" + strings.Repeat("ab", 32)
	}
	values = map[string]string{
		"rollout": "asms", "platform": "existing", "serverAddress": "8.8.4.4",
		"ssh":        JSON(map[string]any{"user": "alorig", "hostKey": Keys().Host}),
		"adminCidrs": `["8.8.8.0/24","2001:4860::/32"]`,
		"zones":      JSON(zones), "images": JSON(images),
	}
	secret = map[string]bool{}
	for key, value := range map[string]string{
		"sshPrivateKey": Keys().Private, "cloudflareApiToken": Canary + "-cloudflare",
		"postgresPassword": Canary + "-postgres", "redisPassword": Canary + "-redis", "secrets": JSON(Secrets(l, apps, Canary)),
	} {
		values[key], secret[key] = value, true
	}
	return values, secret
}

// Secrets gives every secret of every app a value of its own that holds the canary.
func Secrets(l ledger.Ledger, apps workload.Apps, canary string) map[string]map[string]string {
	secrets := map[string]map[string]string{}
	for _, app := range l.Apps {
		secrets[app.Name] = map[string]string{}
		for _, name := range workload.RequiredSecrets(app, apps[app.Name]) {
			secrets[app.Name][name] = canary + "-" + app.Name + "-" + name
		}
	}
	return secrets
}

// Keys is a key pair in each form in which settings meet one. It opens nothing.
var Keys = sync.OnceValue(func() (k struct{ Host, Private, Locked string }) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	host, err := ssh.NewPublicKey(public)
	must(err)
	open, err := ssh.MarshalPrivateKey(private, "")
	must(err)
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("pass"))
	must(err)
	k.Host = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host)))
	k.Private, k.Locked = string(pem.EncodeToMemory(open)), string(pem.EncodeToMemory(locked))
	return k
})

// JSON is a test's own value as Pulumi stores an object.
func JSON(v any) string {
	text, err := json.Marshal(v)
	must(err)
	return string(text)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
