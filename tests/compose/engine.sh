#!/usr/bin/env bash
# A Docker daemon of the tests' own, beside any other on the machine.
#
#   engine.sh start       starts it unless it runs already, and prints its DOCKER_HOST
#   engine.sh is-running  tells by its exit code whether it answers
#   engine.sh stop        stops it
#
# It keeps everything in $MILLSTREAM_DOCKER_DIR (default: the user's cache folder), has no default bridge and leaves
# the machine's iptables alone but for one rule, so that it cannot disturb another daemon. Its builds therefore need
# `--network host`.
set -euo pipefail

dir=${MILLSTREAM_DOCKER_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/millstream/docker}
# Private networks come from here; Docker's own default pools would collide with another daemon's.
subnets=10.213.0.0/16
socket=$dir/run/docker.sock
pidfile=$dir/run/docker.pid
log=$dir/run/dockerd.log

fail() {
    echo "engine: $*" >&2
    exit 1
}

answers() {
    DOCKER_HOST=unix://$socket docker version >/dev/null 2>&1
}

# Packets between two containers of one network pass the FORWARD chain where br_netfilter is loaded, and another
# daemon sets that chain's policy to DROP.
forward_rule() {
    command -v iptables >/dev/null || return 0
    iptables "$1" FORWARD -s "$subnets" -d "$subnets" -j ACCEPT 2>/dev/null
}

mount_cgroups() {
    if ! grep -qE '^[^ ]+ /sys/fs/cgroup(/[^ ]+)? cgroup' /proc/mounts; then
        mount -t cgroup2 cgroup2 /sys/fs/cgroup || fail "no control groups are mounted, and none can be"
    fi
}

start() {
    if answers; then
        return
    fi
    [ "$(id -u)" = 0 ] || fail "no Docker daemon answers, and only root can start one: start Docker, or run as root"
    command -v dockerd >/dev/null || fail "dockerd is not installed (Debian: apt-get install docker.io)"
    # A path of a Unix socket has at most 107 bytes, and containerd appends to this one.
    [ ${#dir} -le 70 ] || fail "the path $dir is too long for a socket: set MILLSTREAM_DOCKER_DIR to a shorter one"
    mkdir -p "$dir/run" "$dir/data" "$dir/exec"
    mount_cgroups
    # The daemon gives its containerd 15 s to start, which a busy machine with cold disks may exceed.
    for _ in 1 2 3; do
        if start_once; then
            forward_rule -C || forward_rule -I || true
            return
        fi
    done
    fail "dockerd ended at once, three times: $(tail -n 5 "$log")"
}

# Starts the daemon and waits until it answers; false if it ends before.
start_once() {
    rm -f "$pidfile"
    nohup dockerd --host "unix://$socket" --pidfile "$pidfile" --data-root "$dir/data" --exec-root "$dir/exec" \
        --bridge none --iptables=false --ip-forward=false --default-address-pool "base=$subnets,size=24" \
        >"$log" 2>&1 </dev/null &
    local daemon=$!
    for _ in $(seq 120); do
        if answers; then
            return 0
        fi
        kill -0 "$daemon" 2>/dev/null || return 1
        sleep 0.5
    done
    fail "dockerd does not answer after 60 s: $(tail -n 5 "$log")"
}

stop() {
    forward_rule -D || true
    [ -s "$pidfile" ] || return 0
    local daemon
    daemon=$(cat "$pidfile")
    kill "$daemon" 2>/dev/null || return 0
    for _ in $(seq 120); do
        kill -0 "$daemon" 2>/dev/null || return 0
        sleep 0.5
    done
    fail "dockerd (process $daemon) does not end"
}

case ${1:-} in
    start) start && echo "unix://$socket" ;;
    stop) stop ;;
    is-running) answers ;;
    *) fail "say start, is-running or stop" ;;
esac
