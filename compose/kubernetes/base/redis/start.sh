#!/bin/sh
# Starts Redis with the password from its secret: in a file, since arguments can be read by every process.
set -eu
umask 077
: > /tmp/auth.conf
if [ -s /run/secrets/redis_password ]; then
    printf 'requirepass "%s"\n' "$(cat /run/secrets/redis_password)" > /tmp/auth.conf
fi
printf 'maxmemory %s\n' "${REDIS_MAXMEMORY:-512mb}" >> /tmp/auth.conf
# One of several, which sentinels watch: it follows whichever they call the primary, at first the first.
if [ -n "${MELD_REDIS_SENTINELS:-}" ]; then
    primary=
    for _ in 1 2 3 4 5; do
        for sentinel in $(echo "$MELD_REDIS_SENTINELS" | tr ',' ' '); do
            primary=$(timeout 2 redis-cli -h "${sentinel%:*}" -p "${sentinel#*:}" \
                sentinel get-master-addr-by-name meld-rag 2> /dev/null | head -n 1) || primary=
            case $primary in [0-9]*) break 2 ;; esac
        done
        sleep 1
    done
    # Who was watched once waits for a sentinel: the first may have fallen behind the others since.
    case $primary in
        [0-9]*) : > /data/.watched ;;
        *)
            if [ -e /data/.watched ]; then
                echo "no sentinel says which Redis is the primary; trying again" >&2
                exit 1
            fi
            primary=$MELD_REDIS_FIRST
            ;;
    esac
    if [ -s /run/secrets/redis_password ]; then
        printf 'masterauth "%s"\n' "$(cat /run/secrets/redis_password)" >> /tmp/auth.conf
    fi
    # A write counts when a second server hears of it: a primary that was cut off takes none.
    printf '%s\n' "replica-announce-ip $MELD_REDIS_NAME" 'min-replicas-to-write 1' 'min-replicas-max-lag 10' \
        >> /tmp/auth.conf
    if [ "$primary" != "$MELD_REDIS_NAME" ]; then
        printf 'replicaof %s 6379\n' "$primary" >> /tmp/auth.conf
    fi
fi
exec redis-server /etc/meld-rag/redis.conf --include /tmp/auth.conf
