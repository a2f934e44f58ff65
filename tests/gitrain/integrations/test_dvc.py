"""DVC's cache, remote and pipeline: one real, tiny pipeline, copied for each test."""

import fcntl
import http.server
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from gitrain.errors import IntegrationError, PipelineError, UsageError
from gitrain.integrations.dvc import DvcCache, DvcPipeline
from gitrain.pipeline.lock import Lock

MODEL = "models/model.skops"
SCRIPT = """\
import os, sys
seed = open("params.yaml").read()
print("fitting with", seed.strip())
if "99" in seed:
    sys.exit("the loss is NaN")
os.makedirs("models", exist_ok=True)
os.makedirs("data", exist_ok=True)
open("models/model.skops", "w").write("model of " + seed)
open("data/part", "w").write("rows")
"""
DVC_YAML = """\
stages:
  train:
    cmd: python make.py
    deps: [make.py]
    params: [seed]
    outs: [models/model.skops, data]
"""


def dvc(folder: Path, *arguments: str) -> None:
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
    subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=folder, env=environment, check=True, capture_output=True
    )


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that was run once and pushed to a local remote beside it."""
    root = tmp_path_factory.mktemp("dvc") / "repository"
    root.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=root, check=True)
    dvc(root, "init", "-q")
    (root / "make.py").write_text(SCRIPT)
    (root / "dvc.yaml").write_text(DVC_YAML)
    (root / "params.yaml").write_text("seed: 3\n")
    (root / ".dvc" / "config").write_text("[core]\n    remote = store\n['remote \"store\"']\n    url = ../../remote\n")
    DvcPipeline(root).repro(progress=lambda line: None)
    dvc(root, "push", "-q")
    return root.parent


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    """A copy of the pipeline with its cache and remote."""
    shutil.copytree(template, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy" / "repository"


def md5_of_model(root: Path) -> str:
    return Lock.parse((root / "dvc.lock").read_text()).md5_of(MODEL)


def cached(root: Path, md5: str) -> Path:
    return root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]


def overwrite(path: Path, text: str) -> None:
    path.chmod(0o644)
    path.write_text(text)
    path.chmod(0o444)


def test_content_comes_from_the_local_cache(root: Path) -> None:
    md5 = md5_of_model(root)
    assert DvcCache(root).find(md5) == cached(root, md5)
    assert cached(root, md5).read_text() == "model of seed: 3\n"


def test_a_folders_listing_is_content_too(root: Path) -> None:
    listing = Lock.parse((root / "dvc.lock").read_text()).md5_of("data")
    found = DvcCache(root).find(listing)
    assert found is not None
    assert "part" in found.read_text()


def test_an_altered_cache_file_is_refused_and_left_alone(root: Path) -> None:
    md5 = md5_of_model(root)
    overwrite(cached(root, md5), "another model")
    with pytest.raises(PipelineError, match="was altered or damaged") as raised:
        DvcCache(root).find(md5)
    assert str(cached(root, md5)) in raised.value.what
    assert cached(root, md5).read_text() == "another model"
    # The reason why we look: DVC itself sees nothing.
    assert DvcPipeline(root).status() == {}


def test_the_tree_is_asked_before_a_remote(root: Path) -> None:
    md5 = md5_of_model(root)
    shutil.rmtree(root / ".dvc" / "cache")
    shutil.rmtree(root.parent / "remote")
    assert DvcCache(root).find(md5) == root / MODEL


def test_a_missing_file_is_fetched_from_the_remote(root: Path) -> None:
    md5 = md5_of_model(root)
    shutil.rmtree(root / ".dvc" / "cache")
    overwrite(root / MODEL, "a newer model")
    assert DvcCache(root).find(md5) == cached(root, md5)
    assert cached(root, md5).read_text() == "model of seed: 3\n"


def test_nobody_has_it(root: Path) -> None:
    assert DvcCache(root).find("0" * 32) is None


def test_damaged_content_of_a_remote_never_enters_the_cache(root: Path) -> None:
    md5 = md5_of_model(root)
    shutil.rmtree(root / ".dvc" / "cache")
    (root / MODEL).unlink()
    overwrite(root.parent / "remote" / "files" / "md5" / md5[:2] / md5[2:], "another model")
    with pytest.raises(PipelineError, match="remote 'store'"):
        DvcCache(root).find(md5)
    assert not cached(root, md5).exists()


def test_a_remote_that_cannot_be_asked_is_an_error_and_not_an_absence(root: Path) -> None:
    (root / ".dvc" / "config").write_text(
        "[core]\n    remote = store\n['remote \"store\"']\n    url = http://127.0.0.1:9/nothing\n"
    )
    with pytest.raises(IntegrationError, match="a remote could not be asked"):
        DvcCache(root).find("0" * 32)


@pytest.mark.parametrize("name", ["config", "config.local"])
def test_a_cache_that_is_configured_elsewhere(root: Path, name: str) -> None:
    md5 = md5_of_model(root)
    shutil.move(root / ".dvc" / "cache", root.parent / "shared")
    (root / MODEL).unlink()
    with (root / ".dvc" / name).open("a") as stream:
        stream.write("[cache]\n    dir = ../../shared\n")
    found = DvcCache(root).find(md5)
    assert found is not None
    assert found.samefile(root.parent / "shared" / "files" / "md5" / md5[:2] / md5[2:])


def test_a_users_own_configuration_is_respected(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    md5 = md5_of_model(root)
    shutil.move(root / ".dvc" / "cache", root.parent / "shared")
    shutil.rmtree(root.parent / "remote")
    (root / MODEL).unlink()
    (root.parent / "user").mkdir()
    (root.parent / "user" / "config").write_text(f"[cache]\n    dir = {root.parent / 'shared'}\n")
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(root.parent / "user"))
    assert DvcCache(root).find(md5) == root.parent / "shared" / "files" / "md5" / md5[:2] / md5[2:]


def test_no_dvc_repository(tmp_path: Path) -> None:
    assert DvcCache(tmp_path).find("0" * 32) is None


@pytest.mark.parametrize("md5", ["", "../../etc/passwd", "0" * 31, "A" * 32, "sha256:" + "0" * 64])
def test_only_an_md5_is_looked_up(tmp_path: Path, md5: str) -> None:
    with pytest.raises(UsageError, match="is no MD5"):
        DvcCache(tmp_path).find(md5)


def test_a_hit_in_the_cache_does_not_import_dvc(root: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from gitrain.integrations.dvc import DvcCache;"
        f"assert DvcCache(Path({str(root)!r})).find({md5_of_model(root)!r});"
        "assert 'dvc' not in sys.modules and 'dvc_data' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_repro_runs_what_changed_and_reports_its_lines(root: Path) -> None:
    pipeline = DvcPipeline(root)
    lines: list[str] = []
    (root / "params.yaml").write_text("seed: 4\n")
    assert list(pipeline.status()) == ["train"]
    pipeline.repro(["train"], progress=lines.append)
    assert "fitting with seed: 4" in lines
    assert (root / MODEL).read_text() == "model of seed: 4\n"
    assert pipeline.status() == {}


def test_a_failing_stage_is_an_error_with_its_last_lines(root: Path) -> None:
    (root / "params.yaml").write_text("seed: 99\n")
    with pytest.raises(PipelineError, match="the loss is NaN") as raised:
        DvcPipeline(root).repro(progress=lambda line: None)
    assert "exit code" in raised.value.what


def test_broken_pipeline_files_are_errors(root: Path) -> None:
    (root / "dvc.lock").write_text("<<<<<<< HEAD\n")
    with pytest.raises(PipelineError, match="dvc status"):
        DvcPipeline(root).status()


def test_leaving_early_stops_the_stage(root: Path) -> None:
    (root / "make.py").write_text(
        "import fcntl, time\n"
        "held = open('held', 'w')\n"
        "fcntl.flock(held, fcntl.LOCK_EX)\n"
        "print('started', flush=True)\n"
        "time.sleep(600)\n"
    )

    class LeftError(Exception):
        pass

    def leave(line: str) -> None:
        if line == "started":
            raise LeftError

    with pytest.raises(LeftError):
        DvcPipeline(root).repro(progress=leave)
    # The lock of a process ends with it, so this returns at once; a stage that lives on would hold it for ten minutes.
    with (root / "held").open() as held:
        deadline = time.monotonic() + 60
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                assert time.monotonic() < deadline, "the stage still runs"
                time.sleep(0.02)
            else:
                break


def test_a_remote_over_http(root: Path) -> None:
    md5 = md5_of_model(root)
    shutil.rmtree(root / ".dvc" / "cache")
    (root / MODEL).unlink()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(root.parent / "remote"))

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (root / ".dvc" / "config").write_text(
            f"[core]\n    remote = web\n['remote \"web\"']\n    url = http://127.0.0.1:{server.server_port}\n"
        )
        assert DvcCache(root).find(md5) == cached(root, md5)
        assert DvcCache(root).find("0" * 32) is None
        server.shutdown()
