#!/usr/bin/env bash
# Runs the compose tests: starts the cluster of compose.yaml once, from a binary already built, tests it, removes it.
#
#   run.sh BINARY --workspace                         as ./test does, which has compiled the whole workspace
#   run.sh BINARY --package millstream-tests -E EXPR  compiles only the tests, and runs some of them
#
# All arguments but the first go to `cargo nextest run --profile compose`.
#
# A Docker daemon that answers is used; else one is started (engine.sh), and stopped at the end. The images are built from
# Debian packages and the binary (stand-in-images.sh), unless MILLSTREAM_IMAGE names one: compose.yaml then says which.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
binary=${1:?say which binary to test: run.sh BINARY --workspace}
shift

scratch=$(mktemp -d "${TMPDIR:-/tmp}/millstream-compose.XXXXXX")
engine_started=no
cluster_started=no

answers() {
    timeout 20 docker version >/dev/null 2>&1
}

compose() {
    # shellcheck disable=SC2086 # `docker compose` is two words
    $MILLSTREAM_COMPOSE "$@"
}

clean_up() {
    local status=$?
    if [ "$cluster_started" = yes ]; then
        compose down --volumes --timeout 5 >"$scratch/down.log" 2>&1 || cat "$scratch/down.log" >&2
    fi
    if [ "$engine_started" = yes ]; then
        "$here/engine.sh" stop || true
    fi
    rm -rf "$scratch"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A run that was killed leaves its cluster, which the tests' own daemon starts again each time.
remove_leftovers() {
    local project label=com.docker.compose.project
    for project in $(docker ps --all --format "{{.Label \"$label\"}}" --filter label=$label | sort -u); do
        if [[ $project =~ ^millstream-test-([0-9]+)$ ]] && ! kill -0 "${BASH_REMATCH[1]}" 2>/dev/null; then
            docker ps --all --quiet --filter "label=$label=$project" | xargs docker rm --force --volumes >/dev/null
            docker network ls --quiet --filter "label=$label=$project" | xargs --no-run-if-empty docker network rm >/dev/null
            docker volume ls --quiet --filter "label=$label=$project" | xargs --no-run-if-empty docker volume rm >/dev/null
        fi
    done
}

find_engine() {
    if [ -z "${DOCKER_HOST:-}" ] && ! answers; then
        # One that runs already belongs to another run of this script, which will stop it.
        "$here/engine.sh" is-running || engine_started=yes
        DOCKER_HOST=$("$here/engine.sh" start)
        export DOCKER_HOST
        remove_leftovers
    fi
    answers || {
        echo "compose tests: no Docker daemon answers at ${DOCKER_HOST:-the default address}; start one" >&2
        exit 1
    }
    # Both understand compose.yaml.
    if docker compose version >/dev/null 2>&1; then
        export MILLSTREAM_COMPOSE="docker compose"
    else
        export MILLSTREAM_COMPOSE=docker-compose
    fi
    echo "using $MILLSTREAM_COMPOSE $(compose version --short)"
}

make_images() {
    "$here/stand-in-images.sh" "$binary" >"$scratch/images"
    set -a
    # shellcheck disable=SC1091
    . "$scratch/images"
    set +a
}

free_port() {
    local port
    for port in $(shuf -i 20000-32000 -n 50); do
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    return 1
}

start_cluster() {
    export COMPOSE_PROJECT_NAME=millstream-test-$$
    export MILLSTREAM_PORT MILLSTREAM_DATA=$scratch/data MILLSTREAM_OUT=$scratch/out
    MILLSTREAM_PORT=$(free_port)
    mkdir "$MILLSTREAM_DATA" "$MILLSTREAM_OUT"
    # The services' user is nobody that this machine knows.
    chmod a+rx "$scratch" "$MILLSTREAM_DATA"
    cluster_started=yes
    if ! compose up --detach --no-build --scale worker=3 >"$scratch/up.log" 2>&1; then
        cat "$scratch/up.log" >&2
        compose logs --no-color --tail 40 >&2 || true
        exit 1
    fi
    compose ps
}

find_engine
if [ -z "${MILLSTREAM_IMAGE:-}" ]; then
    make_images
fi
start_cluster
cargo nextest run --release --locked --profile compose "$@"
