#!/usr/bin/env bash
# Lints, types and tests of the Python package, in a virtual environment of their own.
#
#   check.sh            lints, types, and the tests on a cluster inside their own process
#   check.sh BINARY     the tests also on a local cluster of this program, on services where the environment names a
#                       RabbitMQ and a Redis (`xtask with-servers`), there TPC-H and TPC-DS compared with DuckDB, too,
#                       the quick part of Dask's own tests, and the wheels of both packages in an environment of their
#                       own
#   check.sh BINARY --short   of the clusters only services, with the files that most depend on a cluster, and of
#                       Dask's own tests those that take seconds
#
# Environments are kept in the user's cache folder, under names made of what they hold.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
binary=${1:-}
extent=${2:-}

# fingerprint FILE: a name for an environment of this interpreter and what the file asks for.
fingerprint() {
    python3 -c 'import hashlib, sys
print(hashlib.sha256(sys.version.encode() + open(sys.argv[1], "rb").read()).hexdigest()[:16])' "$1"
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/millstream
environment=$cache/python/$(fingerprint pyproject.toml)
tpc=../tests/conformance/tpc
tpc_environment=$cache/python/$(fingerprint $tpc/requirements.txt)

# make_environment FOLDER ARGUMENT…: an environment with what pip is told to install, unless it is there.
make_environment() {
    [ ! -e "$1/complete" ] || return 0
    rm -rf "$1"
    python3 -m venv "$1"
    "$1/bin/pip" install --quiet --disable-pip-version-check "${@:2}"
    touch "$1/complete"
}

requirements() {
    # Only what the package needs: it is tested where it lies, from any clone.
    python3 -c 'import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = project["optional-dependencies"]
wanted = [extras[name] for name in ("dev", "pandas", "dask", "joblib", "jupyter", "graph", "dill", "science", "tutorial")]
print("\n".join(sum(wanted, project["dependencies"])))'
}

title() {
    printf -- '-- %s\n' "$*"
}

mapfile -t wanted < <(requirements)
make_environment "$environment" "${wanted[@]}"
export PATH=$environment/bin:$PATH PYTHONPATH=$PWD PYTHONDONTWRITEBYTECODE=1

title "ruff and mypy"
ruff check --no-cache .
ruff format --no-cache --check .
ruff check --no-cache --config pyproject.toml ../python-bin
ruff format --no-cache --config pyproject.toml --check ../python-bin
ruff check --no-cache --config pyproject.toml --ignore D103 $tpc
ruff format --no-cache --config pyproject.toml --check $tpc
mypy --cache-dir "$environment/mypy"
title "tests on a cluster inside the tests' process"
pytest -q -p no:cacheprovider
pytest -q -p no:cacheprovider $tpc/test_compare.py
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
        chosen=(
            tests/test_{actors,client,coordination,nested,sql,tutorial,uploads,workers}.py
            tests/dataframe/test_frame_functions.py
        )
    fi
    pytest -q -p no:cacheprovider --cluster=services "${chosen[@]}"
    make_environment "$tpc_environment" --requirement $tpc/requirements.txt
    title "TPC-H and TPC-DS on services, compared with DuckDB"
    "$tpc_environment/bin/python" $tpc/run.py --quick
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
