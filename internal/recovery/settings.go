package recovery

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
)

// settings are the plain ones that say where things are. stacks/settings.go has the rules
// and the defaults, and Options.Check has held the values against them.
type settings struct {
	Managed bool   // alorig:platform
	Rollout string // "" for none
	SSH     *struct {
		User string `json:"user"`
		Port int    `json:"port"`
	}
	Address        string
	DockerSocket   string
	CloudflareHost string
	Postgres       struct {
		Host string `json:"host"`
		Port int    `json:"port"`
		User string `json:"user"`
	}
}

func readSettings(plain map[string]string, o Options) (settings, error) {
	get := func(key string) string { return plain[o.Project+":"+key] }
	object := func(key string, into any) error {
		text := get(key)
		if text == "" {
			return nil
		}
		if err := json.Unmarshal([]byte(text), into); err != nil {
			return fmt.Errorf("%s:%s cannot be read: %w", o.Project, key, err)
		}
		return nil
	}
	s := settings{
		Managed: get("platform") == "managed", Rollout: get("rollout"), Address: get("serverAddress"),
		DockerSocket:   cmp.Or(get("dockerSocket"), "unix:///var/run/docker.sock"),
		CloudflareHost: cmp.Or(get("cloudflareApiHostname"), "api.cloudflare.com"),
	}
	if s.Rollout == "none" {
		s.Rollout = ""
	}
	if cmp.Or(get("engine"), "ssh") == "ssh" {
		if err := object("ssh", &s.SSH); err != nil {
			return s, err
		}
		if s.SSH == nil || s.SSH.User == "" || s.Address == "" {
			return s, fmt.Errorf("%s:engine is ssh, and %[1]s:ssh.user or %[1]s:serverAddress is not set; `pulumi preview` says how to set them", o.Project)
		}
		s.SSH.Port = cmp.Or(s.SSH.Port, 22)
	}
	s.Postgres.Host, s.Postgres.Port, s.Postgres.User = "127.0.0.1", 15432, "postgres"
	if s.SSH == nil && s.Managed {
		subnet, err := netip.ParsePrefix(cmp.Or(get("subnet"), "172.30.0.0/24"))
		if err != nil {
			return s, fmt.Errorf("%s:subnet cannot be read: %w", o.Project, err)
		}
		s.Postgres.Host, s.Postgres.Port = o.PostgresAddress(subnet).String(), 5432
	}
	return s, object("postgres", &s.Postgres)
}

// dockerHost is the engine whose containers the program declares.
func (s settings) dockerHost() string {
	if s.SSH == nil {
		return s.DockerSocket
	}
	return fmt.Sprintf("ssh://%s@%s:%d", s.SSH.User, s.Address, s.SSH.Port)
}
