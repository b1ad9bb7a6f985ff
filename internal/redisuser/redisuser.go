// Package redisuser puts and removes the Redis user of an app, with Redis' own client. Each
// function can be killed at any point and run again.
//
// Redis gets the hash of an app's password and never the password. A password is changed in
// two steps: [Put] lets the new one in beside the earlier ones, which containers that are
// still running know, and [Settle] leaves only the new one once none of them is left.
package redisuser

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Redis is a Redis server and the login of its default user.
type Redis struct {
	Container     string // its name, for messages
	Address       string // host:port
	AdminPassword string // of the default user
}

// User is what an app logs in as.
type User struct {
	Name        string
	Password    string
	Permissions []string // words of ACL SETUSER, without passwords
}

// afresh begins every set of permissions: what the user could do before ends in the same
// command that gives it the new ones, which Redis carries out whole or not at all.
// Unlike "reset" these words keep the passwords.
var afresh = []string{"on", "resetkeys", "resetchannels", "clearselectors", "sanitize-payload", "-@all"}

// Put makes the user, or gives it exactly these permissions and lets the password in. The
// passwords that worked before still do, until [Settle]; those of a user that somebody has
// switched off do not. It returns what it changed, "" for nothing.
func Put(ctx context.Context, r Redis, u User) (string, error) { return r.set(ctx, u, false) }

// Settle is [Put], but only this password works afterwards. Connections that are open stay.
func Settle(ctx context.Context, r Redis, u User) (string, error) { return r.set(ctx, u, true) }

func (r Redis) set(ctx context.Context, u User, alone bool) (string, error) {
	if err := u.check(); err != nil {
		return "", err
	}
	client := r.open()
	defer client.Close() //nolint:errcheck // it is at its end
	before, err := state(ctx, client, u.Name)
	if err != nil {
		return "", r.explain(ctx, err)
	}
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(u.Password)))
	rules := afresh
	if alone || !before.on {
		rules = []string{"reset", "on"}
	}
	rules = slices.Concat(rules, []string{"#" + hash}, u.Permissions)
	if err := client.ACLSetUser(ctx, u.Name, rules...).Err(); err != nil {
		// Redis quotes the word that it refuses, and that is never the hash.
		return "", fmt.Errorf("the Redis user %s was not changed: %w", u.Name, r.explain(ctx, err))
	}
	if err := r.save(ctx, client, "the Redis user "+u.Name+" is as it should be"); err != nil {
		return "", err
	}
	after, err := state(ctx, client, u.Name)
	if err != nil {
		return "", r.explain(ctx, err)
	}
	return before.difference(after, u.Name), nil
}

// Remove removes the user, and Redis ends its connections. A user that is not there is no
// error. It returns what it changed, "" for nothing.
func Remove(ctx context.Context, r Redis, name string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	client := r.open()
	defer client.Close() //nolint:errcheck // it is at its end
	removed, err := client.ACLDelUser(ctx, name).Result()
	if err != nil {
		return "", fmt.Errorf("the Redis user %s was not removed: %w", name, r.explain(ctx, err))
	}
	// Also when there was none: whoever removed it may have been killed before this.
	if err := r.save(ctx, client, "the Redis user "+name+" is gone"); err != nil {
		return "", err
	}
	if removed == 0 {
		return "", nil
	}
	return "removed the Redis user " + name, nil
}

// aboutTheUser are the words of ACL SETUSER that permit nothing.
var aboutTheUser = []string{"on", "off", "nopass", "resetpass", "reset", "sanitize-payload", "skip-sanitize-payload"}

// check refuses what would change another user than an app's, or let anybody in.
func (u User) check() error {
	if err := checkName(u.Name); err != nil {
		return err
	}
	if u.Password == "" {
		return fmt.Errorf("the Redis user %s needs a password, and the one given is empty", u.Name)
	}
	for _, word := range u.Permissions {
		if strings.ContainsAny(word[:min(1, len(word))], "><#!") || slices.Contains(aboutTheUser, strings.ToLower(word)) {
			return fmt.Errorf("a permission of the Redis user %s is about its passwords or the user as a whole; accepted: keys, channels, selectors and commands", u.Name)
		}
	}
	return nil
}

func checkName(name string) error {
	if name == "" || name == "default" || strings.ContainsAny(name, " \t\r\n\x00") {
		return fmt.Errorf("%q is no name of an app's Redis user; accepted: one word other than \"default\", which is the operator's", name)
	}
	return nil
}

// answerWait is how long Redis may take for one answer, in which it may write its ACL file.
const answerWait = 10 * time.Second

func (r Redis) open() *redis.Client {
	logging.Disable() // it prints to standard error what is returned as an error too
	return redis.NewClient(&redis.Options{
		Addr: r.Address, Username: "default", Password: r.AdminPassword,
		DialTimeout: 3 * time.Second, DialerRetries: 3, ReadTimeout: answerWait, WriteTimeout: answerWait, ContextTimeoutEnabled: true,
		PoolSize: 1, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// save writes the users to Redis' ACL file. done says what is already true.
func (r Redis) save(ctx context.Context, client *redis.Client, done string) error {
	err := client.Do(ctx, "ACL", "SAVE").Err()
	if err == nil {
		return nil
	}
	switch text := answer(err); {
	case strings.Contains(text, "not configured to use an ACL file"):
		return fmt.Errorf("%s, but only until Redis in %s restarts: it has no ACL file. Set \"aclfile\" in redis.conf (docs/runbook.md, Redis), restart Redis, and run the update again", done, r.Container)
	case strings.HasPrefix(text, "ERR"):
		return fmt.Errorf("%s, but only until Redis in %s restarts: it cannot write its ACL file (%s). `docker logs --tail 20 %[2]s` says why: a full disk, or a directory that is not Redis' own; mend it, and run the update again", done, r.Container, text)
	default:
		return fmt.Errorf("%s, but perhaps only until Redis restarts: %w", done, r.explain(ctx, err))
	}
}

// answer is what Redis itself has answered, "" when the error is another one.
func answer(err error) string {
	var answered redis.Error
	if errors.As(err, &answered) {
		return answered.Error()
	}
	return ""
}

// explain says what to do about an error.
func (r Redis) explain(ctx context.Context, err error) error {
	switch text := answer(err); {
	case ctx.Err() != nil:
		return fmt.Errorf("asking Redis in %s: %w", r.Container, ctx.Err())
	case strings.HasPrefix(text, "WRONGPASS"), strings.HasPrefix(text, "NOAUTH"):
		return fmt.Errorf("Redis in %s refuses the password of its default user; set alorig:redisPassword to the one that Redis has (docs/runbook.md, Change a secret), and run the update again", r.Container)
	case strings.HasPrefix(text, "NOPERM"):
		return fmt.Errorf("the default user of Redis in %s may not change users (%s); give it `~* &* +@all` in the ACL file (docs/runbook.md, Redis), and run the update again", r.Container, text)
	case strings.HasPrefix(text, "LOADING"):
		return fmt.Errorf("Redis in %s is still reading its data; run the update again when `docker logs --tail 5 %[1]s` says that it is ready", r.Container)
	case text != "":
		return fmt.Errorf("Redis in %s answers: %s", r.Container, text)
	default:
		return fmt.Errorf("Redis in %s does not answer at %s: %w; see `docker logs --tail 20 %[1]s`, and run the update again", r.Container, r.Address, err)
	}
}
