# Sourced: puts a Node.js that Vite can use first in the PATH where there is an older one, as on Debian 12.
if [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then
    node=${XDG_CACHE_HOME:-$HOME/.cache}/millstream/node
    [ -x "$node/node_modules/.bin/node" ] || npm install --silent --no-audit --no-fund --prefix "$node" node@22
    export PATH=$node/node_modules/.bin:$PATH
fi
