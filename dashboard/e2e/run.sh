#!/usr/bin/env bash
# The dashboard in a real browser, on a real cluster of the given program.
#
#   dashboard/e2e/run.sh MILLSTREAM [--pictures] [--only=PATTERN]    see cluster.mjs
#
# As root on Debian it installs Chromium if there is none; anywhere else it says what is missing. CHROMIUM names another
# one. A picture of what failed is left in E2E_ARTEFACTS (default: a folder of that name beside other temporary files).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# -gt 0 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' e2e/run.sh >&2; exit 2; }

install_chromium() (
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
)

export CHROMIUM=${CHROMIUM:-$(command -v chromium || echo /usr/bin/chromium)}
if [ ! -x "$CHROMIUM" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        install_chromium
    else
        echo "run.sh: there is no browser at $CHROMIUM: install Chromium, or name one in CHROMIUM" >&2
        exit 1
    fi
fi

# The newest environment of the Python package's tests, where one has been made.
if [ -z "${MILLSTREAM_PYTHON:-}" ]; then
    newest=
    for complete in "${XDG_CACHE_HOME:-$HOME/.cache}"/millstream/python/*/complete; do
        [ ! -e "$complete" ] || [ "$newest" -nt "$complete" ] || newest=$complete
    done
    [ -z "$newest" ] || export MILLSTREAM_PYTHON=${newest%/complete}/bin/python
fi

. ./node.sh

# What `check.sh` has just installed is not installed again.
if ! cmp -s package-lock.json node_modules/.e2e-lock; then
    npm ci --no-audit --no-fund --silent
    cp package-lock.json node_modules/.e2e-lock
fi
exec node e2e/cluster.mjs "$@"
