# Standard input: the admin password on the first line, then Redis commands. $redis
# is the container. The password travels in the environment, never on a command line.
set -eu
IFS= read -r REDISCLI_AUTH
export REDISCLI_AUTH
if ! answer=$(docker exec -i -e REDISCLI_AUTH "$redis" redis-cli -e --no-auth-warning); then
	echo "Redis in $redis refused the user: $answer" >&2
	echo "ACL SAVE needs \"aclfile\" in redis.conf (docs/runbook.md, Redis)." >&2
	exit 1
fi
