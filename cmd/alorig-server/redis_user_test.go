package main

import (
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/alorig/fleet/internal/containers/containerstest"
	"github.com/alorig/fleet/internal/document"
)

func redisDocument(redis string) document.RedisUser {
	return document.RedisUser{
		Header: document.NewHeader("psydge", "psydge"), Redis: redis, Network: containerstest.Network, Port: 8000,
		AdminPassword: canary, User: "psydge", Password: canary, Permissions: []string{"~psydge:*", "+get"},
	}
}

// What Redis itself does is tested in internal/redisuser.
func TestARedisUserNeedsARedisThatRuns(t *testing.T) {
	t.Parallel()
	docker, name := containerstest.Docker(t), containerstest.Name(t)
	d := redisDocument(name)
	for _, verb := range []document.Verb{document.PutRedisUser, document.SettleRedisUser} {
		mustFail(t, verb, d, name+" is missing; make it anew with `pulumi refresh`")
	}
	// A destroy has removed Redis, and its users with it.
	if did := mustDo(t, document.RemoveRedisUser, d).Did; len(did) != 1 || did[0] != "there is no "+name+", and so no Redis user psydge" {
		t.Errorf("%q", did)
	}
	containerstest.Start(t, docker, containerstest.Container(name))
	elsewhere := d
	elsewhere.Network = "bridge"
	for _, verb := range []document.Verb{document.PutRedisUser, document.SettleRedisUser, document.RemoveRedisUser} {
		mustFail(t, verb, d, "Redis in "+name+" does not answer at ", ":8000: ", "docker logs --tail 20 "+name, "run the update again")
		mustFail(t, verb, elsewhere, "docker network connect bridge "+name)
	}
	if err := docker.ContainerStop(t.Context(), name, container.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []document.Verb{document.PutRedisUser, document.SettleRedisUser, document.RemoveRedisUser} {
		mustFail(t, verb, d, "docker start "+name, "run the update again")
	}
}
