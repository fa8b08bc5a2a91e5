#!/bin/sh
# redis-cli with the password of this project's Redis, for people inside the container.
if [ -z "${REDISCLI_AUTH:-}" ] && [ -s /run/secrets/redis_password ]; then
    REDISCLI_AUTH=$(cat /run/secrets/redis_password)
    export REDISCLI_AUTH
fi
exec /usr/bin/redis-cli "$@"
