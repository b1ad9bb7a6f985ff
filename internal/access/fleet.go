package access

import (
	"net/netip"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings"
)

// Of returns the target that a stack's settings name. The private key is the decrypted
// alorig:sshPrivateKey; it is not needed with alorig:engine "local".
func Of(s settings.Settings, privateKey string) Target {
	if s.SSH == nil {
		return Target{Socket: s.DockerSocket}
	}
	return Target{SSH: &SSH{User: s.SSH.User, Address: s.Address, Port: s.SSH.Port, HostKey: s.SSH.HostKey, PrivateKey: privateKey}}
}

// NeedsForward reports settings with which PostgreSQL is reached through a port of this
// machine that leads to the server.
func NeedsForward(s settings.Settings) bool {
	if s.SSH == nil {
		return false
	}
	address, err := netip.ParseAddr(s.Postgres.Host)
	return s.Postgres.Host == "localhost" || err == nil && address.IsLoopback()
}

// Postgres is where the PostgreSQL of the ledger listens.
func Postgres(l ledger.Ledger) Endpoint {
	service, _ := l.Service(ledger.Postgres)
	return Endpoint{Container: service.Container, Network: l.Server.Network, Port: service.Port}
}
