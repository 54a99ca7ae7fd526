#!/usr/bin/env bash
# Checks the dashboard: types, units, and that the committed bundle is what its sources build. `e2e/run.sh` looks at it in
# a browser.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

. ./node.sh
npm ci --no-audit --no-fund --silent
# So that `e2e/run.sh` need not do the same again.
cp package-lock.json node_modules/.e2e-lock
npm run --silent check
npm test --silent

built=$(mktemp -d "${TMPDIR:-/tmp}/millstream-dashboard.XXXXXX")
trap 'rm -rf "$built"' EXIT
npx --no-install vite build --logLevel warn --outDir "$built" --emptyOutDir
if ! diff -r dist "$built"; then
    echo "dashboard/dist is not what the sources build: run \`npm run build\` and commit it" >&2
    exit 1
fi
