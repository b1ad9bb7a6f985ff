package main

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/alorig/fleet/internal/containers"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/handover"
	"github.com/alorig/fleet/internal/redisuser"
)

func putRedisUser(ctx context.Context, s *server, d *document.RedisUser) error {
	return s.redisUser(ctx, d, redisuser.Put)
}

func settleRedisUser(ctx context.Context, s *server, d *document.RedisUser) error {
	return s.redisUser(ctx, d, redisuser.Settle)
}

func (s *server) redisUser(ctx context.Context, d *document.RedisUser, do func(context.Context, redisuser.Redis, redisuser.User) (string, error)) error {
	redis, err := s.redis(ctx, d)
	if err != nil {
		return err
	}
	did, err := do(ctx, redis, redisuser.User{Name: d.User, Password: d.Password, Permissions: d.Permissions})
	if did != "" {
		s.say("%s", did)
	}
	return err
}

// removeRedisUser removes the user. Where a destroy has removed Redis itself, there is nothing
// to do; where Redis is only stopped, the user would come back with it.
func removeRedisUser(ctx context.Context, s *server, d *document.RedisUser) error {
	found, err := containers.Look(ctx, s.docker, d.Redis)
	if err != nil {
		return err
	}
	if found.Condition == handover.Missing {
		s.say("there is no %s, and so no Redis user %s", d.Redis, d.User)
		return nil
	}
	redis, err := s.redis(ctx, d)
	if err != nil {
		return err
	}
	did, err := redisuser.Remove(ctx, redis, d.User)
	if did != "" {
		s.say("%s", did)
	}
	return err
}

func (s *server) redis(ctx context.Context, d *document.RedisUser) (redisuser.Redis, error) {
	redis, err := s.redisAt(ctx, d.Redis, d.Network, d.Port, d.AdminPassword)
	if err != nil {
		return redis, fmt.Errorf("%w, and run the update again", err)
	}
	return redis, nil
}

// notRunning is a container that has to run and does not.
type notRunning struct{ found containers.Found }

func (e notRunning) Error() string {
	if e.found.Condition == handover.Missing {
		return fmt.Sprintf("%s; make it anew with `pulumi refresh` and `pulumi up`, or as docs/runbook.md (Redis) says where Phase 0 has made it", e.found)
	}
	return fmt.Sprintf("%s; start it with `docker start %s`", e.found, e.found.Name)
}

// redisAt is where Redis listens: this program runs on the server, which reaches the network
// of the containers.
func (s *server) redisAt(ctx context.Context, name, network string, port int, password string) (redisuser.Redis, error) {
	found, err := containers.Look(ctx, s.docker, name)
	switch {
	case err != nil:
		return redisuser.Redis{}, err
	case !found.Condition.Running():
		return redisuser.Redis{}, notRunning{found}
	case found.Address(network) == "":
		return redisuser.Redis{}, fmt.Errorf("%s has no address on the network %s; connect it with `docker network connect %[2]s %[1]s`", name, network)
	}
	return redisuser.Redis{Container: name, Address: net.JoinHostPort(found.Address(network), strconv.Itoa(port)), AdminPassword: password}, nil
}
