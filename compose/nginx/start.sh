#!/bin/sh
# Starts nginx. MELD_TRUSTED_PROXIES names the proxies in front of it, whose word counts for who called and how.
set -eu
umask 077
trusted=$(printf '%s' "${MELD_TRUSTED_PROXIES:-}" | tr -s ', ' '\n')
for one in $trusted; do
    case $one in
        *[!0-9a-fA-F.:/]* | */0)
            echo "proxy: MELD_TRUSTED_PROXIES: must be addresses or networks as in 10.0.0.0/8, separated by commas" >&2
            exit 2
            ;;
    esac
done
{
    # shellcheck disable=SC2016 # variables of nginx
    echo 'geo $realip_remote_addr $passed_on {'
    echo '    default 0;'
    for one in $trusted; do echo "    $one 1;"; done
    echo '}'
    for one in $trusted; do echo "set_real_ip_from $one;"; done
} >/tmp/proxies.conf
exec nginx -e /dev/stderr -c /etc/meld-rag/nginx.conf -g 'daemon off;'
