#!/bin/sh
# Resolves requirements.lock from pyproject.toml: one set for Python 3.11 to 3.13 on every platform, every extra and group.
# Indexes and folders of this machine are not looked at, so that everybody gets the same file from PyPI.
set -eu
for name in $(env | sed -n 's/^\(\(PIP\|UV\)_[A-Z_]*\)=.*/\1/p'); do
    case $name in
    PIP_CERT | UV_CACHE_DIR | UV_NATIVE_TLS) ;;
    *) unset "$name" ;;
    esac
done
export PIP_CONFIG_FILE=/dev/null UV_NO_CONFIG=1 UV_PYTHON_DOWNLOADS=never
exec "${VENV:-.venv}/bin/uv" pip compile pyproject.toml --quiet --all-extras --group dev --group reference --universal \
    --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
    --output-file requirements.lock "$@"
