package redisuser

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// known is what Redis knows of a user.
type known struct {
	there     bool
	on        bool
	passwords []string    // hashes
	rest      map[any]any // flags and permissions, as Redis writes them
}

func state(ctx context.Context, client *redis.Client, name string) (known, error) {
	answer, err := client.Do(ctx, "ACL", "GETUSER", name).Result()
	if errors.Is(err, redis.Nil) {
		return known{}, nil
	}
	if err != nil {
		return known{}, err
	}
	fields, ok := answer.(map[any]any)
	if !ok {
		return known{}, fmt.Errorf("ACL GETUSER has answered with %T, not with a map; Redis 7 is needed", answer)
	}
	k := known{there: true, rest: fields}
	flags, _ := fields["flags"].([]any)
	k.on = slices.Contains(flags, any("on"))
	hashes, _ := fields["passwords"].([]any)
	for _, hash := range hashes {
		text, _ := hash.(string)
		k.passwords = append(k.passwords, text)
	}
	delete(fields, "passwords")
	// Redis 7.0 works the words out anew for each answer, in no order.
	if commands, ok := fields["commands"].(string); ok {
		words := strings.Fields(commands)
		slices.Sort(words)
		fields["commands"] = strings.Join(words, " ")
	}
	return k, nil
}

// difference says what has been changed, without a hash.
func (k known) difference(now known, name string) string {
	earlier := len(now.passwords) - 1
	switch {
	case !k.there:
		return "made the Redis user " + name
	case !slices.Equal(k.passwords, now.passwords) && earlier == 0:
		return fmt.Sprintf("only the new password of the Redis user %s works now", name)
	case !slices.Equal(k.passwords, now.passwords):
		return fmt.Sprintf("the Redis user %s has a new password, beside %d earlier", name, earlier)
	case !reflect.DeepEqual(k.rest, now.rest):
		return "changed what the Redis user " + name + " may do"
	default:
		return ""
	}
}
