"""What is removed after a deployment, and what stays: made-up states, and two at once."""

import fcntl
import hashlib
import json
import os
import shutil
import threading

import pytest

from gitrain.integrations.local_leftovers import KEPT, discard_unused, taking_bundle

NOW = 1_800_000_000.0
DAY = 86_400.0


class State:
    """The state of a machine: bundles, their environments of Python, and who uses them."""

    def __init__(self, root):
        self.root = root

    def bundle(self, number, *, days, requirements=None):
        """A bundle that was used so many days ago, and the environment that it needs."""
        name = hashlib.sha256(str(number).encode()).hexdigest()
        folder = self.root / "unpacked" / name
        (folder / "src").mkdir(parents=True)
        content = requirements or f"numpy=={number}\n"
        (folder / "src/requirements.txt").write_text(content)
        venv = self.root / "venvs" / f"3.11-{hashlib.sha256(content.encode()).hexdigest()}"
        venv.mkdir(parents=True, exist_ok=True)
        (venv / ".complete").touch()
        for path in (folder, venv / ".complete"):
            os.utime(path, (NOW - days * DAY,) * 2)
        return name, venv.name

    def replica(self, environment, name, bundle):
        folder = self.root / "environments" / environment / "replicas" / name
        folder.mkdir(parents=True)
        (folder / "replica.json").write_text(
            json.dumps({"release": {"version": "1.0.0", "digest": f"sha256:{bundle}"}})
        )

    def under_way(self, environment, release, former=None):
        folder = self.root / "environments" / environment
        folder.mkdir(parents=True, exist_ok=True)
        wanted = {"version": "1.0.0", "digest": f"sha256:{release}"}
        before = None if former is None else {"version": "0.9.0", "digest": f"sha256:{former}"}
        (folder / "under-way.json").write_text(json.dumps({"release": wanted, "former": before}))

    @property
    def left(self):
        found = {path.name for path in (self.root / "unpacked").iterdir()} - {".lock"}
        return found | {path.name for path in (self.root / "venvs").iterdir() if path.suffix != ".lock"}

    def discard(self, **options):
        return discard_unused(self.root, now=NOW, **options)


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "state")


def test_the_newest_and_what_is_in_use_stay(state):
    made = [state.bundle(number, days=20 - number) for number in range(8)]
    # The oldest runs in one environment, the second stands by in another, a third is on its way back.
    state.replica("production", "a", made[0][0])
    state.replica("test", "b", made[1][0])
    state.under_way("preprod", made[7][0], former=made[2][0])
    gone = {name for pair in made[3:4] for name in pair}
    expected = {name for pair in made for name in pair} - gone
    removed = state.discard()
    assert state.left == expected
    assert removed == sorted([f"unpacked/{made[3][0]}", f"venvs/{made[3][1]}"])
    assert state.discard() == []
    assert list((state.root / "discarded").iterdir()) == []


def test_one_environment_of_python_for_several_bundles_stays_as_long_as_one_of_them_runs(state):
    _, shared = state.bundle("old", days=30, requirements="polars==1\n")
    running, _ = state.bundle("new", days=9, requirements="polars==1\n")
    state.replica("test", "a", running)
    state.discard(keep=0)
    assert state.left == {running, shared}


def test_so_many_stay(state):
    for number in range(KEPT + 2):
        state.bundle(number, days=1 + number)
    assert len(state.discard()) == 4
    assert len(state.left) == 2 * KEPT


def test_what_was_used_in_the_last_hour_stays(state):
    recent = state.bundle("a", days=0.5 / 24)
    state.bundle("b", days=2 / 24)
    state.discard(keep=0)
    assert state.left == set(recent)


def test_where_a_file_cannot_be_read_nothing_is_removed(state):
    for number in range(9):
        state.bundle(number, days=9)
    before = state.left
    folder = state.root / "environments/test/replicas/a"
    folder.mkdir(parents=True)
    for content in ("{", "[]", "{}", '{"release": 3}', '{"release": {"version": "1.0.0"}}'):
        (folder / "replica.json").write_text(content)
        assert state.discard() == []
        assert state.left == before
    (folder / "replica.json").unlink()
    assert len(state.discard()) == 12


def test_what_is_none_of_ours_stays(state):
    (state.root / "unpacked/notes").mkdir(parents=True)
    (state.root / "venvs/mine").mkdir(parents=True)
    (state.root / "releases").mkdir()
    for path in state.root.rglob("*"):
        os.utime(path, (0, 0))
    assert state.discard(keep=0) == []
    assert state.left == {"notes", "mine"}


def test_nothing_is_made_where_nothing_is(tmp_path):
    assert discard_unused(tmp_path / "none", now=NOW) == []
    assert not (tmp_path / "none").exists()


def test_whoever_takes_a_bundle_keeps_it(state):
    """Taken while another one looks: that one waits, and then finds the bundle to be in use."""
    taken, _ = state.bundle("a", days=9)
    removed = []
    other = threading.Thread(target=lambda: removed.extend(state.discard(keep=0)))
    with taking_bundle(state.root) as folder:
        other.start()
        other.join(0.2)
        assert other.is_alive()
        assert (folder / taken).is_dir()
        os.utime(folder / taken, (NOW, NOW))
    other.join()
    assert not any(name.startswith("unpacked/") for name in removed)
    assert taken in state.left


def test_an_environment_of_python_that_is_being_made_stays(state):
    _, venv = state.bundle("a", days=9)
    with (state.root / "venvs" / f"{venv}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state.discard(keep=0)
        assert venv in state.left
    state.discard(keep=0)
    assert state.left == set()


def test_what_a_killed_run_set_aside_goes_too(state):
    state.bundle("a", days=9)
    shutil.copytree(state.root / "unpacked", state.root / "discarded" / "left")
    state.discard()
    assert list((state.root / "discarded").iterdir()) == []
