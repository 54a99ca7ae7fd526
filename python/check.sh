#!/usr/bin/env bash
# Lints, types and tests of the Python package, in a virtual environment of their own.
#
#   check.sh            lints, types, and the tests on a cluster inside their own process
#   check.sh BINARY     the tests also on a local cluster of this program, on services where the environment names a
#                       RabbitMQ and a Redis (`xtask with-servers`), the quick part of Dask's own tests, and the
#                       wheels of both packages in an environment of their own
#   check.sh BINARY --short   of the clusters only services, with the files that most depend on a cluster, and of
#                       Dask's own tests those that take seconds
#
# The environment is kept in the user's cache folder, under a name made of what it holds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
binary=${1:-}
extent=${2:-}

fingerprint=$(python3 -c 'import hashlib, sys
print(hashlib.sha256(sys.version.encode() + open("pyproject.toml", "rb").read()).hexdigest()[:16])')
environment=${XDG_CACHE_HOME:-$HOME/.cache}/millstream/python/$fingerprint

make_environment() {
    local requirements
    rm -rf "$environment"
    python3 -m venv "$environment"
    # Only what the package needs: it is tested where it lies, from any clone.
    mapfile -t requirements < <(python3 -c 'import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = project["optional-dependencies"]
wanted = [extras[name] for name in ("dev", "pandas", "dask", "joblib", "jupyter", "graph", "dill", "science", "tutorial")]
print("\n".join(sum(wanted, project["dependencies"])))')
    "$environment/bin/pip" install --quiet --disable-pip-version-check "${requirements[@]}"
    touch "$environment/complete"
}

title() {
    printf -- '-- %s\n' "$*"
}

[ -e "$environment/complete" ] || make_environment
export PATH=$environment/bin:$PATH PYTHONPATH=$PWD PYTHONDONTWRITEBYTECODE=1

title "ruff and mypy"
ruff check --no-cache .
ruff format --no-cache --check .
ruff check --no-cache --config pyproject.toml ../python-bin
ruff format --no-cache --config pyproject.toml --check ../python-bin
mypy --cache-dir "$environment/mypy"
title "tests on a cluster inside the tests' process"
pytest -q -p no:cacheprovider
[ -n "$binary" ] || exit 0

export MILLSTREAM_BIN=$binary
if [ "$extent" != --short ]; then
    title "tests on a local cluster"
    pytest -q -p no:cacheprovider --cluster=local
fi
if [ -n "${MILLSTREAM_TEST_AMQP:-}" ]; then
    title "tests on services"
    chosen=()
    if [ "$extent" = --short ]; then
        # What most depends on a real cluster; the other files take twice as long.
        chosen=(tests/test_{actors,client,coordination,nested,sql,uploads,workers}.py)
    fi
    pytest -q -p no:cacheprovider --cluster=services "${chosen[@]}"
fi
title "Dask's own tests, the quick part"
if [ "$extent" = --short ]; then
    python ../tests/conformance/dask/run.py utils_test.py tests/test_{delayed,task_spec,threaded,callbacks}.py
else
    python ../tests/conformance/dask/run.py --quick
fi

title "both wheels"
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
python ../python-bin/pack.py "$binary" --out "$wheels" --check
