package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/redis/go-redis/v9"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// Redis that is full, and overwrites all it holds while it writes its file anew, stays below the
// hard limit of its container. Tried at a tenth of the size of the fleet's.
func (s *suite) testRedisMemory(t *testing.T) {
	service, _ := fleet.Service(ledger.Redis)
	service.Memory.Limit /= 10
	runs, err := workload.ServiceOf(service, fleet.Server, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	const name = "alorig_redis_trial"
	password := random()
	memory := fmt.Sprintf("%dm", service.Memory.Limit)
	docker(t, append([]string{
		"run", "--detach", "--name", name, "--label", "com.alorig.suite=trial", "--memory", memory, "--memory-swap", memory,
		"--env", runs.Password + "=" + password, "--entrypoint", runs.Entrypoint[0], "alorig-sandbox/redis:1",
	}, runs.Entrypoint[1:]...)...)
	t.Cleanup(func() { docker(t, "rm", "--force", "--volumes", name) })
	found := inspect[container.InspectResponse](t, "container", name)[0]
	client := redis.NewClient(&redis.Options{Addr: found.NetworkSettings.Networks["bridge"].IPAddress + ":6379", Password: password, ReadTimeout: 10 * time.Second})
	defer client.Close()
	waitFor(t, name, func() error { return client.Ping(t.Context()).Err() })

	text := strings.Repeat("x", 10<<10)
	keys := 0
	for {
		err := fill(t.Context(), client, keys, keys+500, text)
		if err != nil && strings.HasPrefix(err.Error(), "OOM ") {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		keys += 500
	}
	if held := ledger.MiB(keys * len(text) >> 20); held < service.Data()*3/4 {
		t.Fatalf("it is full with %d MiB; it may hold %d", held, service.Data())
	}
	rewrites := 0
	for ends := time.Now().Add(15 * time.Second); time.Now().Before(ends); {
		if err := client.BgRewriteAOF(t.Context()).Err(); err == nil {
			rewrites++
		}
		err := fill(t.Context(), client, 0, keys-500, strings.ToUpper(text))
		if err != nil && !strings.HasPrefix(err.Error(), "OOM ") {
			t.Fatal(err)
		}
	}
	if found := inspect[container.InspectResponse](t, "container", name)[0]; !found.State.Running || found.State.OOMKilled || found.RestartCount > 0 || rewrites == 0 {
		t.Errorf("after %d rewrites it is %s, exit code %d, killed for memory: %t", rewrites, found.State.Status, found.State.ExitCode, found.State.OOMKilled)
	}
}

func fill(ctx context.Context, client *redis.Client, from, to int, text string) error {
	pipe := client.Pipeline()
	for i := from; i < to; i++ {
		pipe.Set(ctx, fmt.Sprintf("key %d", i), text, 0)
	}
	_, err := pipe.Exec(ctx)
	return err
}
