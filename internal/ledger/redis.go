package ledger

import "fmt"

// RedisACL is the permissions of the app's Redis user, in the words of ACL SETUSER:
// its own keys and channels, its own database number, no dangerous commands. A
// database number alone isolates nothing: publish and subscribe ignore it.
//
// Celery's broker subscribes with patterns, and Redis allows a pattern only where the
// permission spells it out to the letter: kombu turns the "worker.#" that a worker asks
// for into "worker.*".
func (a App) RedisACL() []string {
	broker := fmt.Sprintf("&%s/%d.", a.KeyPrefix, a.RedisDB)
	return []string{
		"~" + a.KeyPrefix + "*",
		"&" + a.KeyPrefix + "*",
		broker + "celery.pidbox",
		broker + "celeryev/worker.*",
		"+@all", "-@dangerous", "-select", fmt.Sprintf("+select|%d", a.RedisDB),
		// Not dangerous to Redis, but to the neighbours: a key carried into their database
		// number, the functions and scripts that all share, the names of their channels, and of
		// their keys: a connection that selects nothing is in IGNY8's database.
		"-scan", "-randomkey", "-dbsize",
		"-move", "-copy", "-function", "-script|flush", "-script|kill", "-pubsub", "-client|tracking",
	}
}
