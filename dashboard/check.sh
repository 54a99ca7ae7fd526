#!/usr/bin/env bash
# Checks the dashboard: types, units, that the committed bundle is what its sources build, and every page in a browser.
#
#   dashboard/check.sh [FEEDER [MILLSTREAM]]
#
# FEEDER is the gateway's example of that name, MILLSTREAM the binary; without them no browser is started.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# Vite needs a newer Node.js than Debian 12 has.
if [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then
    node=${XDG_CACHE_HOME:-$HOME/.cache}/millstream/node
    [ -x "$node/node_modules/.bin/node" ] || npm install --silent --no-audit --no-fund --prefix "$node" node@22
    export PATH=$node/node_modules/.bin:$PATH
fi

npm ci --no-audit --no-fund --silent
npm run --silent check
npm test --silent

built=$(mktemp -d "${TMPDIR:-/tmp}/millstream-dashboard.XXXXXX")
trap 'rm -rf "$built"' EXIT
npx --no-install vite build --logLevel warn --outDir "$built" --emptyOutDir
if ! diff -r dist "$built"; then
    echo "dashboard/dist is not what the sources build: run \`npm run build\` and commit it" >&2
    exit 1
fi

if [ $# -gt 0 ]; then
    node e2e/feeder.mjs "$1"
fi
if [ $# -gt 1 ]; then
    node e2e/cluster.mjs "$2"
fi
