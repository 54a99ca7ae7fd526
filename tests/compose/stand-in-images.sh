#!/usr/bin/env bash
# Makes the images that compose.yaml needs where no image registry can be reached, and prints the variables that name
# them, one NAME=value a line.
#
#   stand-in-images.sh BINARY          debian, rabbitmq, redis and millstream (from this binary, target `prebuilt`)
#   stand-in-images.sh BINARY --rust   also a stand-in for the rust image, for the target that compiles
#
# DOCKER_HOST chooses the daemon; `engine.sh start` starts one. Layers are cached by the daemon, the base system in the user's
# cache folder, so that only the first run needs Debian's mirror.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/millstream
release=bookworm
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
prefix=millstream-test

fail() {
    echo "stand-in-images: $*" >&2
    exit 1
}

note() {
    echo "stand-in-images: $*" >&2
}

# Every build is on the host's network: the tests' daemon has no other for builds.
build() {
    local tag=$1 before
    shift
    note "building $tag"
    before=$(docker image inspect --format '{{.Id}}' "$tag" 2>/dev/null || true)
    # The classic builder, because buildx need not be installed.
    DOCKER_BUILDKIT=0 docker build --quiet --network host --tag "$tag" "$@" >/dev/null 2>"$scratch/build.log" \
        || fail "cannot build $tag:"$'\n'"$(tail -n 30 "$scratch/build.log")"
    # What the new image replaced would only fill the disk; containers that still use it keep it.
    if [ -n "$before" ] && [ "$before" != "$(docker image inspect --format '{{.Id}}' "$tag")" ]; then
        docker image rm "$before" >/dev/null 2>&1 || true
    fi
}

base_tarball() {
    local tarball=$cache/debian-$release.tar
    if [ ! -s "$tarball" ]; then
        command -v debootstrap >/dev/null || fail "debootstrap is not installed (apt-get install debootstrap)"
        [ "$(id -u)" = 0 ] || fail "debootstrap needs root: name real images instead (RABBITMQ_IMAGE, REDIS_IMAGE, …)"
        note "making a base system with debootstrap"
        mkdir -p "$cache"
        debootstrap --variant=minbase "$release" "$scratch/root" "$mirror" >"$scratch/debootstrap.log" 2>&1 \
            || fail "debootstrap failed: $(tail -n 5 "$scratch/debootstrap.log")"
        rm -rf "$scratch/root/var/cache/apt/archives"/*.deb "$scratch/root/var/lib/apt/lists"/*
        printf 'deb %s %s main\n' "$mirror" "$release" >"$scratch/root/etc/apt/sources.list"
        tar -C "$scratch/root" --one-file-system -cf "$tarball.new" .
        mv "$tarball.new" "$tarball"
        rm -rf "$scratch/root"
    fi
    echo "$tarball"
}

base_image() {
    if ! docker image inspect "$prefix/debian:$release" >/dev/null 2>&1; then
        local tarball
        tarball=$(base_tarball)
        docker import "$tarball" "$prefix/debian:$release" >/dev/null
    fi
}

server_image() {
    mkdir -p "$scratch/empty"
    build "$prefix/$1" --build-arg "BASE=$prefix/debian:$release" -f "$here/stand-ins/$1.Dockerfile" "$scratch/empty"
}

rust_image() {
    local context=$scratch/rust sysroot
    sysroot=$(cd "$repo" && rustc --print sysroot)
    mkdir -p "$context/toolchain"
    cp -r "$sysroot/bin" "$sysroot/lib" "$context/toolchain/"
    cp -L "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$context/ca-certificates.crt"
    build "$prefix/rust" --build-arg "BASE=$prefix/debian:$release" -f "$here/stand-ins/rust.Dockerfile" "$context"
    rm -rf "$context"
}

prebuilt_image() {
    local context=$scratch/prebuilt
    mkdir -p "$context"
    cp -r "$repo/docker" "$context/docker"
    # Debug information is most of the binary and none of what the tests need.
    strip -o "$context/millstream" "$1" 2>/dev/null || cp "$1" "$context/millstream"
    build "$prefix/millstream" --build-arg "DEBIAN_IMAGE=$prefix/debian:$release" --target prebuilt \
        -f "$repo/docker/Dockerfile" "$context"
}

binary=${1:-}
[ -x "$binary" ] || fail "say which binary goes into the image: stand-in-images.sh BINARY [--rust]"
docker version >/dev/null 2>&1 || fail "no Docker daemon answers at ${DOCKER_HOST:-the default address}"
scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/millstream-images.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

base_image
server_image rabbitmq
server_image redis
prebuilt_image "$binary"
echo "DEBIAN_IMAGE=$prefix/debian:$release"
echo "RABBITMQ_IMAGE=$prefix/rabbitmq"
echo "REDIS_IMAGE=$prefix/redis"
echo "MILLSTREAM_IMAGE=$prefix/millstream"
if [ "${2:-}" = --rust ]; then
    rust_image
    echo "RUST_IMAGE=$prefix/rust"
fi
