package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/alorig/fleet/internal/containers"
	"github.com/alorig/fleet/internal/containers/containerstest"
	"github.com/alorig/fleet/internal/document"
)

func TestReadinessIsAwaited(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	name := containerstest.Name(t)
	containerstest.Start(t, docker, containerstest.Container(name))
	containerstest.Start(t, docker, containerstest.Container(name+"_deaf", "DEAF=1"))
	d := document.Ready{
		Header: document.NewHeader("psydge", "psydge"), Containers: []document.Awaited{{Name: name, Steady: 1}},
		Patience: 20, Otherwise: "The next app was not started.",
	}
	if did := mustDo(t, document.AwaitReady, d).Did; len(did) != 1 || did[0] != "ready: "+name {
		t.Errorf("%q", did)
	}
	d.Patience, d.Containers = 2, append(d.Containers, document.Awaited{Name: name + "_deaf"}, document.Awaited{Name: name + "_missing"})
	mustFail(t, document.AwaitReady, d, name+"_deaf is still starting after 2s\n", name+"_missing is missing\n",
		"The next app was not started. Look at `docker logs` of each, mend the cause, and run the update again")
	d.Containers = nil
	mustDo(t, document.AwaitReady, d)
}

func TestThePlatformIsChecked(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	name := containerstest.Name(t)
	caddy, ended, elsewhere, missing := name+"_caddy", name+"_ended", name+"_elsewhere", name+"_missing"
	containerstest.Start(t, docker, containerstest.Container(caddy, "MODULES=dns.providers.cloudflare http.handlers.reverse_proxy"))
	containerstest.Start(t, docker, containerstest.Container(ended))
	if err := containers.Stop(t.Context(), docker, ended); err != nil {
		t.Fatal(err)
	}
	c := containerstest.Container(elsewhere)
	c.Network = "bridge"
	containerstest.Start(t, docker, c)
	sites := t.TempDir()
	file := filepath.Join(sites, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := document.Platform{
		Header: document.NewHeader("", "platform"), Network: containerstest.Network, Containers: []string{caddy}, Caddy: caddy,
		Modules: []string{"dns.providers.cloudflare"}, Sites: sites,
	}
	mustDo(t, document.CheckPlatform, d)
	wrong := d
	wrong.Containers, wrong.Modules, wrong.Sites = []string{ended, elsewhere, missing}, []string{"http.handlers.other", "dns.providers.cloudflare"}, filepath.Join(sites, "missing")
	mustFail(t, document.CheckPlatform, wrong,
		"- "+ended+" has ended with exit code", ": docker start "+ended+"\n",
		"- "+elsewhere+" is not on the network "+containerstest.Network+": docker network connect "+containerstest.Network+" "+elsewhere+"\n",
		"- "+missing+" is missing",
		"has no module http.handlers.other", "- "+wrong.Sites+" is no directory")
	wrong.Sites = file
	mustFail(t, document.CheckPlatform, wrong, "- "+file+" is no directory")
	wrong = d
	wrong.Caddy = ended
	mustFail(t, document.CheckPlatform, wrong, "the Caddy in "+ended+" could not be asked for its modules")
	wrong = d
	wrong.Postgres, wrong.SharedMemory = caddy, 64
	mustDo(t, document.CheckPlatform, wrong)
	wrong.SharedMemory = 65
	mustFail(t, document.CheckPlatform, wrong, caddy+" has 64 MiB of shared memory, and parallel queries need 65: make it anew with --shm-size 65m")
	wrong = d
	wrong.Network = "alorigtest_other"
	mustFail(t, document.CheckPlatform, wrong, caddy+" is not on the network alorigtest_other")
}
