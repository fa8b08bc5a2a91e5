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
# This machine has the address at which the edge network leads out; others come with their own.
here=$(ip route show default | sed -nE 's/^default via ([0-9.]+) .*/\1/p')
# shellcheck disable=SC2016 # variables of nginx
{
    echo 'geo $realip_remote_addr $passed_on {'
    echo '    default 0;'
    for one in $trusted; do echo "    $one 1;"; done
    echo '}'
    for one in $trusted; do echo "set_real_ip_from $one;"; done
    echo 'geo $from_this_machine {'
    echo '    default 0;'
    echo '    127.0.0.0/8 1;'
    for one in $here; do echo "    $one 1;"; done
    echo '}'
} >/tmp/addresses.conf
exec nginx -e /dev/stderr -c /etc/meld-rag/nginx.conf -g 'daemon off;'
