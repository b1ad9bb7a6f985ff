package redisuser

import (
	"context"
	"fmt"
	"slices"
)

// Names are those of all users, sorted.
func Names(ctx context.Context, r Redis) ([]string, error) {
	client := r.open()
	defer client.Close() //nolint:errcheck // it is at its end
	names, err := client.Do(ctx, "ACL", "USERS").StringSlice()
	if err != nil {
		return nil, fmt.Errorf("listing the users of Redis: %w", r.explain(ctx, err))
	}
	slices.Sort(names)
	return names, nil
}
