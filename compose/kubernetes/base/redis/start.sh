#!/bin/sh
# Starts Redis with the password from its secret: in a file, since arguments can be read by every process.
set -eu
umask 077
: > /tmp/auth.conf
if [ -s /run/secrets/redis_password ]; then
    printf 'requirepass "%s"\n' "$(cat /run/secrets/redis_password)" > /tmp/auth.conf
fi
printf 'maxmemory %s\n' "${REDIS_MAXMEMORY:-512mb}" >> /tmp/auth.conf
exec redis-server /etc/meld-rag/redis.conf --include /tmp/auth.conf
