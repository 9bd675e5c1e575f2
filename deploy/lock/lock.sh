#!/usr/bin/env bash
# Writes the lock files anew: every package that is installed, its one version, and the SHA-256 of every
# file of that version, for CPython 3.11 and 3.12 alike (markers tell where they differ).
#
#   make lock                  after a change of dependencies: what is locked stays at its version
#   make lock ARGS=--upgrade   the newest versions that pyproject.toml allows
#
# Needs a package index (uv's default, or UV_DEFAULT_INDEX); the files name none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
VENV=${VENV:-.venv}
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check uv

compile() {
    "$VENV/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@"
}

compile pyproject.toml deploy/lock/build.in -o deploy/lock/runtime.txt "$@"
compile pyproject.toml deploy/lock/build.in --extra dev -c deploy/lock/runtime.txt \
    -o deploy/lock/dev.txt "$@"
compile deploy/lock/build.in -c deploy/lock/runtime.txt -o deploy/lock/build.txt "$@"
compile deploy/lock/models.in --no-deps -o deploy/lock/models.txt "$@"
# What all have in common ([tool.uv] environments) need not be said for each.
sed -i -E "s/ ; python_full_version < '3.13' and implementation_name == 'cpython' and platform_machine == 'x86_64' and sys_platform == 'linux'//" \
    deploy/lock/*.txt
