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
		// These are not dangerous to Redis, but to other apps. They carry a key into another
		// database number, change functions and scripts that all apps share, or show the names
		// of other apps' channels and keys. A connection that selects no database is in IGNY8's.
		"-scan", "-randomkey", "-dbsize",
		"-move", "-copy", "-function", "-script|flush", "-script|kill", "-pubsub", "-client|tracking",
	}
}
