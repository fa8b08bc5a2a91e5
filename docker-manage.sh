#!/usr/bin/env bash
# Meld & RAG in containers: one script for all that an operator does.
#
# It touches only what carries this project's label, asks before it destroys
# anything, and never writes to .env. `./docker-manage.sh help` lists the commands.
set -euo pipefail

ROOT=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
# Another name gives a second system beside the first: its own containers, volumes, networks and secrets.
# Images are shared.
export MELD_PROJECT=${MELD_PROJECT:-meld-rag}
export MELD_STATE_DIR=${MELD_STATE_DIR:-$ROOT/.meld/$MELD_PROJECT}
readonly ROOT PROJECT=$MELD_PROJECT LABEL=com.meld-rag.project=$MELD_PROJECT IMAGES=com.meld-rag.image=meld-rag
# What the containers have mounted, and what was made up for it.
readonly SECRETS=$MELD_STATE_DIR/secrets MADE_UP=$MELD_STATE_DIR/made-up
# What this script makes up where .env says nothing, and what is used only where .env names it.
readonly GENERATED=(flask_secret_key jwt_secret_key meld_setup_code redis_password)
# Made up for a layer that is not always there; the files are.
readonly LAYERED=(jupyter_token grafana_password)
readonly GIVEN=(
    meld_service_token meld_oidc_client_secret meld_snapshot_key
    openai_api_key anthropic_api_key google_api_key cohere_api_key meld_mcp_servers
)
readonly SERVICES=(proxy app agents vector session redis)
# Only these may run more than once: the others own a volume.
readonly SCALABLE=(app agents session)
readonly READY_SECONDS=${MELD_READY_SECONDS:-300}

YES=no

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
die() {
    warn "docker-manage: $*"
    exit 1
}
usage() {
    warn "docker-manage: $*"
    warn "see: ./docker-manage.sh help"
    exit 2
}

confirm() {
    [ "$YES" = yes ] && return
    [ -t 0 ] || die "$1 needs an answer; add --yes where nobody can give one"
    read -r -p "$1 Continue? [y/N] " answer
    [[ $answer == [yY]* ]] || die "nothing was changed"
}

is_one_of() {
    local wanted=$1 one
    shift
    for one in "$@"; do [ "$one" = "$wanted" ] && return; done
    return 1
}

need_engine() {
    command -v docker >/dev/null || die "docker is not installed"
    docker info >/dev/null 2>&1 || die "the Docker Engine does not answer"
    docker compose version >/dev/null 2>&1 || die "Compose v2 (docker compose) is not installed"
}

# --- State: mode, secrets, the files that containers mount ----------------------

# What the command names, else what was started last.
MODE=
mode() { echo "${MODE:-$(cat "$MELD_STATE_DIR/mode" 2>/dev/null || echo production)}"; }

# Whether callers log in, the same for all services.
login() {
    local said
    said=$(setting MELD_LOGIN)
    if [ -z "$said" ] && is_yes "$(setting MELD_ALLOW_ANONYMOUS)"; then said=off; fi
    echo "${said:-required}"
}

is_yes() { [[ ${1,,} =~ ^(yes|true|on|1)$ ]]; }

# SERVICE=NUMBER, one a line, of what `scale` was told last.
replicas() { cat "$MELD_STATE_DIR/replicas" 2>/dev/null || true; }

choose_mode() {
    MODE=${1:-$(mode)}
    is_one_of "$MODE" production development || usage "no mode '$MODE': production or development"
}

# The layers that MELD_LAYERS names, and `scale` where something needs it. Each once, one a line.
extra_layers() {
    {
        setting MELD_LAYERS | tr -s ' ,' '\n'
        echo
        if [ -n "$(replicas)$(profiles)" ]; then echo scale; fi
        if [ -n "$(setting MELD_MTLS_CA)" ]; then echo mtls; fi
        if [[ $(setting SESSION_REDIS_SENTINELS) == sentinel-* ]]; then echo sentinel; fi
    } | awk 'NF && !seen[$0]++'
}

# Servers that .env names are started.
profiles() {
    if [ "$(setting CHROMADB_HOST)" = chroma ]; then echo --profile=chroma; fi
}

layers() {
    local files=(-f "$ROOT/compose/compose.yaml")
    case $(mode) in
        production) files+=(-f "$ROOT/compose/compose.prod.yaml") ;;
        development)
            files+=(-f "$ROOT/compose/compose.dev.yaml")
            is_yes "$(setting MELD_DEBUG)" && files+=(-f "$ROOT/compose/compose.debug.yaml")
            ;;
    esac
    local extra
    for extra in $(extra_layers); do
        [ -f "$ROOT/compose/compose.$extra.yaml" ] || die "no layer compose/compose.$extra.yaml"
        files+=(-f "$ROOT/compose/compose.$extra.yaml")
    done
    printf '%s\n' "${files[@]}"
}

# A sum of what the proxy and Redis have mounted: with another one they are made anew.
files_sum() {
    local certificate
    certificate=$(setting MELD_TLS_CERTIFICATE)
    (cd "$ROOT/compose" && cat nginx/* tls/* redis/* observability/*.y* ${certificate:+"$certificate"}) \
        | sha256sum | cut -c1-12
}

compose() {
    local files list
    list=$(layers && profiles) || exit 1
    mapfile -t files <<<"$list"
    [ -f "$ROOT/.env" ] && files+=(--env-file "$ROOT/.env")
    local pair
    for pair in $(replicas); do
        export "MELD_$(tr '[:lower:]' '[:upper:]' <<<"${pair%%=*}")_REPLICAS=${pair#*=}"
    done
    MELD_LOGIN=$(login)
    MELD_FILES=$(files_sum)
    MELD_SECRETS_APP=$(secrets_of app) MELD_SECRETS_AGENTS=$(secrets_of agents)
    MELD_SECRETS_VECTOR=$(secrets_of vector) MELD_SECRETS_SESSION=$(secrets_of session)
    MELD_SECRETS_REDIS=$(secrets_of redis) MELD_SECRETS_NOTEBOOK=$(secrets_of notebook)
    export MELD_LOGIN MELD_FILES MELD_SECRETS_APP MELD_SECRETS_AGENTS MELD_SECRETS_VECTOR MELD_SECRETS_SESSION \
        MELD_SECRETS_REDIS MELD_SECRETS_NOTEBOOK
    docker compose -p "$PROJECT" "${files[@]}" "$@"
}

# When the newest secret of a service was written. A container that was made with another time is made anew:
# a secret is a mounted file, of whose change the engine knows nothing.
secrets_of() {
    local names=(jwt_secret_key meld_service_token)
    case $1 in
        app) names=(jwt_secret_key flask_secret_key meld_oidc_client_secret redis_password meld_snapshot_key) ;;
        agents) names+=(openai_api_key anthropic_api_key google_api_key cohere_api_key meld_mcp_servers) ;;
        vector) names+=(openai_api_key meld_snapshot_key) ;;
        session) names+=(meld_setup_code redis_password meld_snapshot_key) ;;
        redis) names=(redis_password) ;;
        notebook) names=(meld_service_token jupyter_token) ;;
    esac
    (cd "$SECRETS" 2>/dev/null && stat -c %.9Y -- "${names[@]}" 2>/dev/null | sort | tail -n 1) || true
}

# Services whose containers were made with other secrets than there are now.
behind_secrets() {
    local service id
    for service in app agents vector session redis notebook; do
        for id in $(containers_of "$service"); do
            # Plain `docker compose` gives no time; such a container is as new as its making.
            docker inspect -f '{{range .Config.Env}}{{println .}}{{end}}' "$id" \
                | grep -xE "MELD_SECRETS=($(secrets_of "$service"))?" >/dev/null || echo "$service"
        done
    done | sort -u
}

# A variable as compose sees it: the environment first, then the last line of .env that sets it.
setting() {
    local value=${!1:-}
    if [ -z "$value" ] && [ -f "$ROOT/.env" ]; then
        value=$(sed -nE "s/^[[:space:]]*(export[[:space:]]+)?$1[[:space:]]*=[[:space:]]*//p" "$ROOT/.env" | tail -n 1)
        case $value in
            \"*\"*) value=${value#\"} value=${value%%\"*} ;;
            \'*\'*) value=${value#\'} value=${value%%\'*} ;;
            *) value=$(sed -E 's/(^|[[:space:]]+)#.*$//; s/[[:space:]]+$//' <<<"$value") ;;
        esac
    fi
    printf '%s' "$value"
}

random_secret() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

make_up() { (umask 077 && random_secret >"$MADE_UP/$1"); }

# Writes a secret when it differs, in place: a container that runs has this very file mounted.
put_secret() {
    local file=$SECRETS/$1
    if [ ! -f "$file" ] || [ "$(cat "$file")" != "$2" ]; then
        (umask 022 && printf '%s' "$2" >"$file")
    fi
}

# What .env says of a secret; empty where it leaves it to this script.
given_secret() {
    local value
    value=$(setting "${1^^}")
    # This one stands before the other, as in the session service.
    [ "$1" != redis_password ] || [ -z "$(setting SESSION_REDIS_PASSWORD)" ] || value=$(setting SESSION_REDIS_PASSWORD)
    printf '%s' "$value"
}

# The folder keeps others out; the files are readable by uid 1000, which the services run as.
prepare_state() {
    local name value generated=("${GENERATED[@]}")
    if [ "$(mode)" = development ]; then
        # `redis-cli ping` just works there: Redis has a password when .env sets one.
        # The notebook there speaks to the services itself.
        generated=(flask_secret_key jwt_secret_key meld_setup_code meld_service_token)
    fi
    mkdir -p "$SECRETS" "$MADE_UP" "$MELD_STATE_DIR/embedding-models"
    chmod 700 "$MELD_STATE_DIR" "$MADE_UP"
    chmod 711 "$SECRETS"
    for name in "${GENERATED[@]}" "${LAYERED[@]}" "${GIVEN[@]}"; do
        value=$(given_secret "$name")
        if [ -z "$value" ] && is_one_of "$name" "${generated[@]}" "${LAYERED[@]}"; then
            [ -s "$MADE_UP/$name" ] || make_up "$name"
            value=$(cat "$MADE_UP/$name")
        fi
        put_secret "$name" "$value"
    done
    (umask 022 && masked_env >"$MELD_STATE_DIR/app.env")
}

# .env as people may read it inside the app container: no comment, no secret, no address with a password.
masked_env() {
    [ -f "$ROOT/.env" ] || return 0
    sed -nE 's/^[[:space:]]*(export[[:space:]]+)?([A-Z][A-Z0-9_]*)[[:space:]]*=[[:space:]]*(.*)$/\2=\3/p' "$ROOT/.env" \
        | sed -E 's/^([A-Z0-9_]*(KEY|PASSWORD|SECRET|TOKEN|SETUP_CODE|MCP_SERVERS)[A-Z0-9_]*)=.+$/\1=(hidden)/; s/=(.*:\/\/).*@.*$/=\1(hidden)/'
}

# --- Waiting ---------------------------------------------------------------------

containers() { docker ps -aq --filter "label=com.docker.compose.project=$PROJECT" "$@"; }

# The containers of a service, without one-off ones.
containers_of() {
    containers --filter "label=com.docker.compose.service=$1" --filter label=com.docker.compose.oneoff=False
}

health_of() {
    docker inspect -f '{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}' "$1" 2>/dev/null \
        || echo missing
}

wait_healthy() {
    local name=$1 end=$((SECONDS + READY_SECONDS)) state
    while state=$(health_of "$name"); [ "$state" != healthy ]; do
        [ "$SECONDS" -lt "$end" ] || return 1
        # A container that ended, or was refused, will not become healthy by waiting.
        case $(docker inspect -f '{{.State.Status}} {{.RestartCount}}' "$name" 2>/dev/null) in
            exited* | dead* | "") return 1 ;;
            *" 0" | *" 1" | *" 2") ;;
            *) return 1 ;;
        esac
        sleep 0.5
    done
}

# What an operator needs to see of each service that is not well.
tell_why() {
    local id name state
    for id in $(containers); do
        state=$(health_of "$id")
        [ "$state" = healthy ] && continue
        name=$(docker inspect -f '{{slice .Name 1}}' "$id")
        warn "--- $name is $state; its last lines:"
        docker logs --tail 8 "$id" 2>&1 | cut -c1-400 >&2
    done
}

up() {
    local arguments=(up -d --remove-orphans --wait --wait-timeout "$READY_SECONDS")
    if ! compose "${arguments[@]}"; then
        tell_why
        die "not everything came up"
    fi
}

address() {
    local host port
    host=$(setting MELD_PUBLISH_HOST)
    port=$(setting FLASK_PORT)
    if [ "$(mode)" = development ]; then
        port=$(setting MELD_DEVELOPMENT_PORT)
        say "http://127.0.0.1:${port:-5001}"
    else
        say "http://${host:-127.0.0.1}:${port:-5000}"
    fi
}

ready() {
    local port
    say "ready: $(address)"
    if [ "$(mode)" = development ]; then
        port=$(setting MELD_NOTEBOOK_PORT)
        say "notebook: http://127.0.0.1:${port:-8888}/lab?token=$(cat "$SECRETS/jupyter_token")"
    fi
    case $(ways_in) in
        *'"setup":true'*) say "nobody can sign in yet: ./docker-manage.sh owner tells how to make the first owner" ;;
    esac
}

# What the gateway says of how one signs in; empty when it does not answer.
ways_in() {
    # shellcheck disable=SC2016 # the port is the container's
    compose exec -T app sh -c 'curl -sS --max-time 10 "http://127.0.0.1:$FLASK_PORT/api/v1/auth"' 2>/dev/null || true
}

# --- Commands --------------------------------------------------------------------

cmd_build() {
    choose_mode "${1:-}"
    MELD_REVISION=$(git -C "$ROOT" rev-parse --short HEAD 2>/dev/null || echo unknown)
    export MELD_REVISION
    compose build
}

cmd_start() {
    choose_mode "${1:-}"
    prepare_state
    echo "$MODE" >"$MELD_STATE_DIR/mode"
    up
    ready
}

cmd_restart() {
    choose_mode "${1:-}"
    compose stop
    cmd_start "$MODE"
}

cmd_stop() {
    compose stop
}

cmd_status() {
    local id bad=0
    compose ps -a
    if [ -n "$(containers)" ]; then
        say ""
        # shellcheck disable=SC2046 # one word for each container
        docker stats --no-stream $(containers)
    fi
    say ""
    docker volume ls --filter "label=$LABEL"
    for name in "${SERVICES[@]}"; do
        [ "$(mode)" = development ] && [ "$name" = proxy ] && continue
        [ -n "$(containers_of "$name")" ] || bad=1
        for id in $(containers_of "$name"); do
            [ "$(health_of "$id")" = healthy ] || bad=1
        done
    done
    return $bad
}

cmd_logs() {
    local arguments=() follow=() argument
    for argument in "$@"; do
        case $argument in
            -f | --follow) follow=(--follow) ;;
            *) arguments+=("$argument") ;;
        esac
    done
    compose logs --tail "${MELD_LOG_LINES:-200}" "${follow[@]}" "${arguments[@]}"
}

cmd_health() {
    local id name state bad=0
    for id in $(containers --filter label=com.docker.compose.oneoff=False); do
        name=$(docker inspect -f '{{slice .Name 1}}' "$id")
        state=$(health_of "$id")
        printf '%-24s %s\n' "$name" "$state"
        [ "$state" = healthy ] || bad=1
    done
    [ -n "${name:-}" ] || die "nothing runs; ./docker-manage.sh start"
    # shellcheck disable=SC2016 # the port is the container's
    compose exec -T app sh -c 'curl -sS --max-time 5 "http://127.0.0.1:$FLASK_PORT/health"' || bad=1
    say ""
    return $bad
}

cmd_owner() {
    local code
    case $(ways_in) in
        *'"login":false'*) say "nobody signs in: .env lets everybody in as the owner" ;;
        *'"setup":false'*) say "there is an owner; people sign in at $(address)" ;;
        *'"setup":true'*)
            code=$(cat "$SECRETS/meld_setup_code")
            say "There is no user yet. Open $(address) and make the first owner with this setup code:"
            say ""
            say "  $code"
            say ""
            say "or, without a browser:"
            say ""
            say "  curl $(address)/api/v1/auth/setup -H 'Content-Type: application/json' \\"
            say "    -d '{\"name\": \"olga\", \"password\": \"12 characters or more\", \"setup_code\": \"$code\"}'"
            say ""
            say "It is good once, for the first owner alone."
            ;;
        *) die "the system does not say how one signs in; ./docker-manage.sh status" ;;
    esac
}

cmd_shell() {
    local terminal=()
    [ -t 0 ] || terminal=(-T)
    compose exec "${terminal[@]}" "${1:-app}" sh
}

# A one-off container of the backup program; $1 is the folder on this machine that it works in.
backup_program() {
    local folder=$1
    shift
    # As the folder's owner: nobody in a container may write where its user may not.
    MELD_BACKUP_DIR=$folder MELD_BACKUP_USER=$(stat -c %u:%g "$folder") \
        compose --profile operations run --rm --no-deps -T backup "$@"
}

absolute() { readlink -f -- "$1" || die "there is no $1"; }

cmd_backup() {
    local folder=${1:-$ROOT/backups} keep
    keep=$(setting MELD_BACKUP_KEEP)
    [ -d "$folder" ] || (umask 077 && mkdir -p "$folder")
    prepare_state
    backup_program "$(absolute "$folder")" create /backups --keep "${keep:-14}"
}

backup_folder() {
    [ $# -eq 1 ] || usage "the folder of one backup is needed"
    [ -f "$1/manifest.json" ] || die "$1 is no backup: it has no manifest.json"
    absolute "$1"
}

cmd_verify() {
    local folder
    folder=$(backup_folder "$@")
    prepare_state
    backup_program "$(dirname "$folder")" verify "/backups/$(basename "$folder")"
}

cmd_restore() {
    local folder
    folder=$(backup_folder "$@")
    prepare_state
    backup_program "$(dirname "$folder")" verify "/backups/$(basename "$folder")"
    confirm "All documents and conversations are replaced by those of $folder."
    backup_program "$(dirname "$folder")" restore "/backups/$(basename "$folder")" --yes
}

image_of() {
    local version
    version=$(setting MELD_VERSION)
    [ "$(mode)" = development ] && version=development
    echo "meld-rag/${1/#app/gateway}:${version:-latest}"
}

# A second container of the new image serves while the first is replaced; what owns a volume is just replaced.
update_service() {
    local service=$1 main next=$PROJECT-$1-next image previous old several=no
    image=$(image_of "$service")
    mapfile -t old < <(containers_of "$service")
    [ ${#old[@]} -gt 0 ] || die "$service does not run; start it first"
    main=${old[0]}
    previous=$(docker inspect -f '{{.Image}}' "$main")
    # Of an update that was interrupted.
    docker rm -f "$next" >/dev/null 2>&1 || true
    if [ "$previous" = "$(docker image inspect -f '{{.Id}}' "$image")" ] && [ "$FORCE" = no ]; then
        say "$service: is up to date"
        return
    fi
    is_one_of "$service" "${SCALABLE[@]}" && several=yes
    if [ "$several" = yes ] && extra_layers | grep -x scale >/dev/null; then
        update_scaled "$service" "$image" "$previous" "${old[@]}"
        return
    fi
    if [ "$several" = yes ]; then
        # However this ends, it does not stay behind.
        # shellcheck disable=SC2064 # the name as it is now
        trap "docker rm -f $next >/dev/null 2>&1 || true" EXIT
        compose run -d --no-deps --use-aliases --name "$next" "$service" >/dev/null
        if ! wait_healthy "$next"; then
            docker logs --tail 8 "$next" 2>&1 | cut -c1-400 >&2
            docker tag "$previous" "$image"
            die "$service: the new image does not become healthy; the old one was not touched"
        fi
    fi
    main=$PROJECT-$service
    if ! { compose up -d --no-deps --force-recreate "$service" && wait_healthy "$main"; }; then
        docker logs --tail 8 "$main" 2>&1 | cut -c1-400 >&2
        docker tag "$previous" "$image"
        if compose up -d --no-deps --force-recreate "$service"; then wait_healthy "$main" || true; fi
        die "$service: the new image was not healthy; back to the old one, which is $(health_of "$main")"
    fi
    if [ "$several" = yes ]; then
        # Callers find the first one again before the second leaves.
        sleep 2
        docker stop "$next" >/dev/null
        docker rm "$next" >/dev/null 2>&1 || true
        trap - EXIT
    fi
    say "$service: updated"
}

# As many new containers come first, then the old ones go.
update_scaled() {
    local service=$1 image=$2 previous=$3 old=("${@:4}") id new=() bad=""
    compose up -d --no-deps --no-recreate --scale "$service=$((2 * ${#old[@]}))" "$service"
    for id in $(containers_of "$service"); do
        is_one_of "$id" "${old[@]}" || new+=("$id")
    done
    for id in "${new[@]}"; do
        wait_healthy "$id" || bad=$id
    done
    if [ -n "$bad" ]; then
        docker logs --tail 8 "$bad" 2>&1 | cut -c1-400 >&2
        docker rm -f "${new[@]}" >/dev/null
        docker tag "$previous" "$image"
        die "$service: the new image does not become healthy; the old ones were not touched"
    fi
    # Callers find the new ones before the old ones leave.
    sleep 2
    docker stop "${old[@]}" >/dev/null
    docker rm "${old[@]}" >/dev/null 2>&1 || true
    say "$service: updated"
}

cmd_update() {
    local build=yes argument service behind
    FORCE=no
    for argument in "$@"; do
        case $argument in
            --no-build) build=no ;;
            --force) FORCE=yes ;;
            *) usage "update takes --no-build and --force" ;;
        esac
    done
    prepare_state
    behind=$(behind_secrets | xargs)
    [ -z "$behind" ] || die "secrets of $behind changed since they were started; ./docker-manage.sh start first"
    [ "$build" = no ] || cmd_build "$(mode)"
    for service in vector session agents app; do
        update_service "$service"
    done
    ready
}

cmd_scale() {
    local pair service number
    [ $# -gt 0 ] || usage "scale takes SERVICE=NUMBER"
    for pair in "$@"; do
        service=${pair%%=*} number=${pair#*=}
        [ "$service $(mode)" != "app development" ] || usage "in development app has a port of its own; there is one"
        is_one_of "$service" "${SCALABLE[@]}" || usage "one of ${SCALABLE[*]} can be scaled, not '$service'"
        [[ $number =~ ^[1-9][0-9]?$ ]] || usage "$service=$number: a number from 1 to 99 is needed"
    done
    # Kept, so that a later start runs as many.
    mkdir -p "$MELD_STATE_DIR"
    {
        replicas
        printf '%s\n' "$@"
    } | awk -F= '{n[$1] = $2} END {for (s in n) print s "=" n[s]}' | sort >"$MELD_STATE_DIR/replicas.new"
    mv "$MELD_STATE_DIR/replicas.new" "$MELD_STATE_DIR/replicas"
    prepare_state
    up
}

cmd_cleanup() {
    case ${1:-basic} in
        basic)
            docker container prune -f --filter "label=$LABEL"
            docker image prune -f --filter "label=$IMAGES"
            ;;
        images)
            confirm "Images of this project that no container uses are removed."
            docker image prune -a -f --filter "label=$IMAGES"
            ;;
        full)
            confirm "All containers, images and DATA of this project are removed (not .env, not backups)."
            compose --profile operations down --volumes --remove-orphans --timeout 15
            docker volume ls -q --filter "label=$LABEL" | xargs -r docker volume rm >/dev/null
            docker image prune -a -f --filter "label=$IMAGES"
            rm -f "$MELD_STATE_DIR/replicas"
            ;;
        *) usage "cleanup takes basic, full or images" ;;
    esac
}

volume_name() {
    local name=${1#"${PROJECT}"_}
    docker volume inspect "${PROJECT}_$name" >/dev/null 2>&1 || die "there is no volume ${PROJECT}_$name"
    echo "${PROJECT}_$name"
}

# tar as root inside a container: the files belong to the services' users.
in_volume() {
    local volume=$1 access=$2
    shift 2
    docker run --rm -i --network none --label "$LABEL" --user 0 -v "$volume:/data:$access" --entrypoint "" \
        redis:7-alpine "$@"
}

cmd_export() {
    local volume file
    [ $# -ge 1 ] || usage "export takes a volume, and a file where it is not to be VOLUME.tar.gz"
    volume=$(volume_name "$1")
    file=${2:-$volume.tar.gz}
    [ ! -e "$file" ] || die "$file exists"
    [ -z "$(docker ps -q --filter "volume=$volume")" ] \
        || warn "$volume is in use: this copy may be torn; ./docker-manage.sh backup makes a consistent one"
    (umask 077 && in_volume "$volume" ro tar czf - -C /data . >"$file.partial")
    mv "$file.partial" "$file"
    say "$file"
}

cmd_import() {
    local name volume file=${2:-}
    [ -f "$file" ] || usage "import takes a volume and a file that export made"
    name=${1#"${PROJECT}"_}
    volume=${PROJECT}_$name
    # grep -q would leave at the first match, and compose fail on the closed pipe.
    compose config --volumes | grep -xF "$name" >/dev/null || usage "no volume '$name': one of $(compose config --volumes | xargs)"
    # tar takes other files for empty archives.
    if ! tar tzf "$file" >/dev/null 2>&1 || [ "$(tar tzf "$file" | wc -l)" = 0 ]; then
        die "$file is damaged or no archive of export; nothing was changed"
    fi
    [ -z "$(docker ps -q --filter "volume=$volume")" ] || die "$volume is in use; ./docker-manage.sh stop first"
    confirm "All that is in $volume is replaced."
    docker volume create --label "$LABEL" --label "com.docker.compose.project=$PROJECT" \
        --label "com.docker.compose.volume=$name" "$volume" >/dev/null
    # Unpacked beside the old, which goes only when all of it has arrived.
    in_volume "$volume" rw sh -ec '
        rm -rf /data/.incoming && mkdir /data/.incoming
        tar xzf - -C /data/.incoming || { rm -rf /data/.incoming; exit 1; }
        find /data -mindepth 1 -maxdepth 1 ! -name .incoming -exec rm -rf {} +
        find /data/.incoming -mindepth 1 -maxdepth 1 -exec mv {} /data/ ";"
        rmdir /data/.incoming' <"$file" || die "it did not fit or was cut off; the old content is still there"
    say "$volume holds what was in $file"
}

cmd_rotate_secrets() {
    local name
    confirm "New keys and a new Redis password are made; what uses them restarts, everybody signs in again, and webhooks wait for a new secret of their own."
    mkdir -p "$MADE_UP"
    # Grafana keeps its password itself.
    for name in "${GENERATED[@]}" meld_service_token jupyter_token; do
        if [ -n "$(given_secret "$name")" ]; then
            say "$name: comes from .env; change it there"
        elif [ "$name" = redis_password ] && [ "$(mode)" = development ]; then
            say "$name: none in development"
        elif [ "$name" = meld_service_token ] && [ "$(mode)" != development ]; then
            say "$name: none but in development"
        else
            make_up "$name"
            say "$name: new"
        fi
    done
    prepare_state
    [ -z "$(containers)" ] || up
}

cmd_doctor() {
    local bad=0 free memory version port name value variable
    good() { printf 'ok    %s\n' "$*"; }
    note() { printf 'note  %s\n' "$*"; }
    fault() {
        printf 'FAULT %s\n' "$*"
        bad=1
    }
    version=$(docker version -f '{{.Server.Version}}')
    if [ "$(printf '20.10\n%s\n' "$version" | sort -V | head -n 1)" = 20.10 ]; then
        good "Docker Engine $version"
    else
        fault "Docker Engine $version is older than 20.10"
    fi
    good "Compose $(docker compose version --short)"
    memory=$(($(docker info -f '{{.MemTotal}}') / 1024 / 1024))
    if [ "$memory" -ge 3900 ]; then good "memory $memory MB"; else fault "memory $memory MB; 4 GB are needed"; fi
    free=$(df -Pm "$ROOT" | awk 'NR==2 {print $4}')
    if [ "$free" -ge 10240 ]; then good "free space $free MB"; else note "free space $free MB; 10 GB are recommended"; fi
    if [ -f "$ROOT/.env" ]; then
        case $(stat -c %a "$ROOT/.env") in
            600 | 400) good ".env is private" ;;
            *) note ".env can be read by others: chmod 600 .env" ;;
        esac
    else
        note "there is no .env; defaults are used"
    fi
    if compose config -q; then good "the compose files and .env can be read"; else fault "compose does not accept them"; fi
    if [ "$(login)" != off ]; then
        good "people sign in"
    elif is_yes "$(setting MELD_ALLOW_ANONYMOUS)"; then
        note "whoever reaches the port is the owner (MELD_ALLOW_ANONYMOUS)"
    else
        fault "MELD_LOGIN=off lets everybody in; say so with MELD_ALLOW_ANONYMOUS=yes, or leave both empty"
    fi
    value=$(setting MELD_PUBLISH_HOST)
    case ${value:-127.0.0.1} in
        127.* | localhost) ;;
        *) extra_layers | grep -x tls >/dev/null \
            || note "passwords and tokens travel unencrypted to $value: MELD_LAYERS=tls, or a proxy in front with HTTPS" ;;
    esac
    value=$(setting CHROMADB_HOST)
    case $value in
        localhost | 127.*) fault "CHROMADB_HOST=$value is the vector container itself; leave it empty for the built-in index" ;;
    esac
    for name in openai anthropic google cohere; do
        value=$(setting "${name^^}_API_KEY")
        case $value in
            your_* | your-*) fault "${name^^}_API_KEY is a placeholder; leave it empty or set the real one" ;;
        esac
    done
    variable=FLASK_PORT
    [ "$(mode)" = development ] && variable=MELD_DEVELOPMENT_PORT
    port=$(setting "$variable")
    [ "$(mode)" = development ] && port=${port:-5001}
    port=${port:-5000}
    if [ -z "$(containers --filter status=running)" ] && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        fault "port $port is in use by another program; set $variable"
    else
        good "port $port"
    fi
    for name in app agents vector session; do
        docker image inspect "$(image_of "$name")" >/dev/null 2>&1 \
            || note "image $(image_of "$name") is not built: ./docker-manage.sh build"
    done
    return $bad
}

HELP="usage: ./docker-manage.sh [--yes] COMMAND [--help]

  build   [production|development]   build the images
  start   [production|development]   start everything, wait until it is ready
  restart [production|development]   stop and start
  stop                               stop; data and containers stay
  status                             containers, use of resources, volumes; 1 when something is not well
  logs    [SERVICE] [-f]             the last lines; MELD_LOG_LINES=200
  health                             what each service says of itself; 1 when something is not well
  owner                              how the first owner is made, with the setup code
  shell   [SERVICE]                  a shell in a container, app when none is named
  backup  [DIR]                      a consistent copy while everything runs: DIR/YYYYMMDD_HHMMSS
  verify  PATH                       check a backup: sizes, sums, seal
  restore PATH                       verify a backup, then replace all data by it
  update  [--no-build] [--force]     new images, one service at a time; back to the old one when red
  scale   SERVICE=N ...              run app, agents or session N times
  cleanup [basic|images|full]        remove what is unused; full removes the data as well
  export  VOLUME [FILE]              a volume as a tar file
  import  VOLUME FILE                replace a volume by such a file
  rotate-secrets                     new keys and a new Redis password
  doctor                             check this machine and .env

services: ${SERVICES[*]}
--yes answers every question. Exit codes: 0 done, 1 failed, 2 not understood."

main() {
    local words=() word command
    for word in "$@"; do
        case $word in
            --yes | -y) YES=yes ;;
            *) words+=("$word") ;;
        esac
    done
    command=${words[0]:-help}
    case $command in
        help | --help | -h)
            say "$HELP"
            return
            ;;
        build | start | restart | stop | status | logs | health | owner | shell | backup | verify | restore | update | \
            scale | cleanup | export | import | rotate-secrets | doctor) ;;
        *) usage "no command '$command'" ;;
    esac
    if is_one_of --help "${words[@]:1}" || is_one_of -h "${words[@]:1}"; then
        say "$HELP" | awk -v c="$command" '$1 == c {print "usage: ./docker-manage.sh " $0}'
        return
    fi
    need_engine
    "cmd_${command//-/_}" "${words[@]:1}"
}

main "$@"
