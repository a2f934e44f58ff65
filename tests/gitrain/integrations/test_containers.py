"""Engines, played by scripts on PATH; the real ones are tried where they work (`docs/bundles.md`)."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from gitrain.errors import IntegrationError, ReleaseError, UsageError
from gitrain.integrations.containers import BentoImages, find_engine

BASE = f"example.com/python@sha256:{'1' * 64}"
# Answers as the engines do, keeps what it was called with, and the Dockerfile that it was to build.
ENGINE = """#!/bin/sh
here=$(dirname "$0")
echo "$@" >> "$here/calls"
case "$1" in
info) exit {info} ;;
build)
    for each; do case "$before" in --file) cp "$each" "$here/Dockerfile" ;; esac; before=$each; done
    echo "STEP 1/1: nothing"
    exit {build} ;;
inspect) cat "$here/image.json" ;;
esac
"""


def engine(folder: Path, name: str, *, info: int = 0, build: int = 0, image: object = None) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(ENGINE.format(info=info, build=build))
    program.chmod(0o755)
    (folder / "image.json").write_text(json.dumps(image))
    return folder


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A PATH with the shell's own programs and a folder for engines before them."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("sh", "cat", "cp", "dirname"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "bundle"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "service.py").write_text("")
    (folder / "env" / "docker").mkdir(parents=True)
    (folder / "env" / "docker" / "Dockerfile").write_text("FROM nothing\n")
    description = {
        "service": "service:App",
        "name": "app",
        "version": "1.0.0",
        "bentoml_version": "1.4.39",
        "creation_time": "2026-01-01T12:00:00+00:00",
        "entry_service": "app",
        "spec": 2,
        "image": {"base_image": BASE, "python_version": "3.11", "commands": [], "post_commands": ["true"]},
    }
    (folder / "bento.yaml").write_text(yaml.safe_dump(description))
    return folder


def build(bundle, name="podman", **values):
    lines: list[str] = []
    given = {"tags": ["app:1.0.0"], "labels": {"a": "b c"}, "base_image": None, "options": ["network=host"]}
    return BentoImages(name).build(bundle, **(given | values), progress=lines.append), lines


PODMAN = [{"Id": "ab" * 32, "Size": 12345, "Config": {"User": "bentoml"}}]
BUILDAH = {"FromImageID": "cd" * 32, "Config": "{}", "OCIv1": {"config": {"User": "bentoml"}}}


def test_the_first_engine_that_works_is_taken(path):
    engine(path, "docker", info=1)
    engine(path, "buildah")

    assert find_engine() == "buildah"
    with pytest.raises(IntegrationError, match="docker: `docker info` failed"):
        find_engine("docker")


def test_where_none_works_each_says_why(path):
    with pytest.raises(IntegrationError, match="docker: it is not on PATH; podman: it is not on PATH; buildah: it is"):
        find_engine()
    with pytest.raises(UsageError, match="'crane' is no engine"):
        find_engine("crane")


@pytest.mark.parametrize(("name", "image", "size"), [("podman", PODMAN, 12345), ("buildah", BUILDAH, None)])
def test_an_image_is_built_from_the_bundle(path, bundle, name, image, size):
    engine(path, name, image=image)
    before = {file: file.read_bytes() for file in bundle.rglob("*") if file.is_file()}

    built, lines = build(bundle, name)

    assert (built.engine, built.tags, built.size, built.user) == (name, ("app:1.0.0",), size, "bentoml")
    assert built.digest in {f"sha256:{'ab' * 32}", f"sha256:{'cd' * 32}"}
    assert built.base_image == BASE
    assert f"FROM {BASE} AS" in (path / "Dockerfile").read_text()
    called = (path / "calls").read_text()
    assert "--label a=b c" in called
    assert "--network host" in called
    assert any("STEP 1/1" in line for line in lines)
    assert {file: file.read_bytes() for file in bundle.rglob("*") if file.is_file()} == before


def test_another_base_image_is_built_on_and_told(path, bundle):
    engine(path, "podman", image=PODMAN)

    built, _ = build(bundle, base_image="localhost/base:1")

    assert built.base_image == "localhost/base:1"
    assert "FROM localhost/base:1 AS" in (path / "Dockerfile").read_text()


def test_an_image_that_would_run_as_root_is_refused(path, bundle):
    engine(path, "podman", image=[{"Id": "ab" * 32, "Config": {"User": ""}}])

    with pytest.raises(ReleaseError, match="would run as root"):
        build(bundle)


def test_an_engine_that_fails_is_an_error_with_its_last_words(path, bundle):
    engine(path, "podman", build=7, image=PODMAN)

    with pytest.raises(IntegrationError, match="podman could not build the image") as caught:
        build(bundle)
    assert "--base-image" in caught.value.fix


def test_engines_of_this_machine_are_asked_not_assumed():
    try:
        found = find_engine()
    except IntegrationError as error:
        pytest.skip(error.what)
    assert subprocess.run([found, "info"], capture_output=True, check=False).returncode == 0
