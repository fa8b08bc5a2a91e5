#!/bin/sh
# Starts a sentinel. It keeps what it learns in its own file, so that is made once; only the password follows.
set -eu
umask 077
file=/data/sentinel.conf
if [ ! -s "$file" ]; then
    cat > "$file" << END
port 26379
dir /data
protected-mode no
sentinel announce-ip $MELD_REDIS_NAME
sentinel monitor meld-rag $MELD_REDIS_FIRST 6379 2
sentinel down-after-milliseconds meld-rag 5000
sentinel failover-timeout meld-rag 30000
END
fi
grep -v '^sentinel auth-pass ' "$file" > "$file.new" || true
if [ -s /run/secrets/redis_password ]; then
    printf 'sentinel auth-pass meld-rag %s\n' "$(cat /run/secrets/redis_password)" >> "$file.new"
fi
mv "$file.new" "$file"
exec redis-server "$file" --sentinel
