#!/bin/sh
# The service of a development container: started again when its code changes, under a debugger when
# MELD_DEBUG says so. watchfiles ends the old process, and so its lock of the data, before it starts a new one.
set -eu
command="python -m services.$MELD_SERVICE"
case ${MELD_DEBUG:-no} in
    yes | true | on | 1) command="python -X frozen_modules=off -m debugpy --listen 0.0.0.0:5678 -m services.$MELD_SERVICE" ;;
esac
# The page is read anew for each request; only code needs a new process there.
filter=default
[ "$MELD_SERVICE" = gateway ] && filter=python
exec watchfiles --filter "$filter" --sigint-timeout 10 --sigkill-timeout 2 \
    "$command" "/app/services/$MELD_SERVICE" /app/services/chassis
