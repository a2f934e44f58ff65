import contextlib
import os
import socket
import sys
import time

import pytest

from gitrain.errors import UsageError
from gitrain.integrations.local_process import start_detached
from gitrain.settings import load_settings
from gitrain.wiring.rehearsal import end_rehearsal, open_rehearsal, rehearsal_folder

SLEEPING = [sys.executable, "-c", "import time; time.sleep(600)"]


def left_behind(folder):
    return start_detached(
        SLEEPING, folder=folder, log=folder / "log", environment={**os.environ, "REHEARSAL_FOLDER": str(folder)}
    )


def await_end(process):
    end = time.monotonic() + 60
    while process.alive:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_a_killed_rehearsal_left_running_is_ended_by_the_next(tmp_path):
    with rehearsal_folder(tmp_path / "demo") as folder:
        other_folder = tmp_path / "other"
        other_folder.mkdir()
        process = left_behind(folder)
        other = left_behind(other_folder)
    with rehearsal_folder(tmp_path / "demo") as folder:
        await_end(process)
        assert other.alive
        assert {path.name for path in folder.iterdir()} == {".made-by-gitrain"}
    end_rehearsal(other_folder, ["test"])
    await_end(other)


def test_two_at_once_do_not_end_each_other(tmp_path):
    with (
        rehearsal_folder(tmp_path / "demo"),
        pytest.raises(UsageError, match="another rehearsal goes on"),
        rehearsal_folder(tmp_path / "demo"),
    ):
        raise AssertionError


def test_what_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work/thesis.txt").write_text("x")
    with pytest.raises(UsageError, match="not a scratch folder"), rehearsal_folder(tmp_path / "work"):
        raise AssertionError
    assert (tmp_path / "work/thesis.txt").exists()


@pytest.fixture
def tools(parcels, tmp_path):
    return open_rehearsal(
        load_settings(parcels), tmp_path, approve=lambda sentence: "Ada", progress=lambda line: None
    )  # fmt: skip


def test_commands_are_in_nobodys_name(tools, tmp_path, monkeypatch, parcels):
    for name in (
        "GITRAIN_STATE",
        "GITRAIN_SIGNING_KEY",
        "GH_TOKEN",
        "MLFLOW_TRACKING_URI",
        "GIT_AUTHOR_NAME",
        "MY_SECRET",
    ):
        monkeypatch.setenv(name, "elsewhere")
    found = open_rehearsal(load_settings(parcels), tmp_path, approve=str, progress=print)
    result = found.commands(".").run(["env"], capture=True).stdout
    assert "elsewhere" not in result
    assert f"REHEARSAL_FOLDER={tmp_path}\n" in result
    assert "BENTOML_DO_NOT_TRACK=True" in result


def test_what_this_machine_has_computed_is_linked_and_not_copied(tools, parcels, tmp_path):
    (tmp_path / "repository/.dvc").mkdir(parents=True)
    tools.prepare("repository")
    mine = sorted(path for path in (parcels / ".dvc/cache").rglob("*") if path.is_file())
    theirs = sorted(path for path in (tmp_path / "repository/.dvc/cache").rglob("*") if path.is_file())
    assert [path.stat().st_ino for path in mine] == [path.stat().st_ino for path in theirs] != []


def test_the_second_clone_uses_the_cache_of_the_first(tools, tmp_path):
    (tmp_path / "review/.dvc").mkdir(parents=True)
    tools.share("repository", "review")
    assert (tmp_path / "review/.dvc/config.local").read_text() == (
        f"[cache]\n    dir = {tmp_path}/repository/.dvc/cache\n"
    )


def test_ports_are_free_and_different(tools):
    ports = tools.ports(3)
    assert len(set(ports)) == 3
    with contextlib.ExitStack() as stack:
        for port in ports:
            stack.enter_context(contextlib.closing(socket.create_server(("127.0.0.1", port))))


def test_what_fails_beside_is_told_when_it_is_asked_for(tools):
    def fail():
        raise UsageError("no", fix="yes.")

    with pytest.raises(UsageError):
        tools.beside(fail).result(timeout=30)


def test_the_service_of_a_release_is_the_bentofiles(tools):
    assert (tools.service, tools.reference) == ("service:Parcels", "parcels:PROJECT")
