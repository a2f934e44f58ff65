"""The suites of what keeps releases on the fakes and on the real ones; each suite finds one that is spoilt."""

import subprocess

import fsspec
import pytest

from gitrain.errors import ReleaseError
from gitrain.integrations.fsspec import open_objects
from gitrain.integrations.git import GitRepository
from gitrain.integrations.local_objects import LocalObjects
from gitrain.integrations.release_store import ObjectReleaseStore
from gitrain.release.objects import Content
from gitrain.testing.release_conformance import ObjectsSuite, ReleaseStoreSuite, TagKeeperSuite
from gitrain.testing.releases import MemoryObjects, MemoryTags


@pytest.fixture
def empty_memory():
    """The memory of fsspec is one for the process."""
    yield "memory://conformance/releases"
    fsspec.filesystem("memory").rm("/conformance", recursive=True)


class TestMemoryObjects(ObjectsSuite):
    @pytest.fixture
    def objects(self):
        return MemoryObjects()


class TestLocalObjects(ObjectsSuite):
    @pytest.fixture
    def objects(self, tmp_path):
        return LocalObjects(tmp_path / "releases")


class TestFsspecObjects(ObjectsSuite):
    @pytest.fixture
    def objects(self, empty_memory):
        fsspec.filesystem("memory").makedirs("/conformance", exist_ok=True)
        return open_objects(empty_memory)

    @pytest.mark.skip(reason="fsspec's memory looks and then writes: its own locks are those of one thread")
    def test_of_many_creators_one_wins(self, objects):
        """A promise of the service behind fsspec; the memory file system makes none."""


class TestMemoryStore(ReleaseStoreSuite):
    @pytest.fixture
    def store(self):
        return ObjectReleaseStore(MemoryObjects())

    @pytest.fixture
    def damage(self, store):
        def damage(content, other):
            (name,) = (name for name, kept in store.objects.files.items() if kept == content)
            store.objects.files[name] = other

        return damage


class TestLocalStore(ReleaseStoreSuite):
    @pytest.fixture
    def store(self, tmp_path):
        return ObjectReleaseStore(LocalObjects(tmp_path / "releases"))

    @pytest.fixture
    def damage(self, store):
        def damage(content, other):
            files = (path for path in store.objects.folder.rglob("*") if path.is_file())
            (path,) = (path for path in files if path.read_bytes() == content)
            path.chmod(0o644)
            path.write_bytes(other)

        return damage


class TestFsspecStore(ReleaseStoreSuite):
    @pytest.fixture
    def store(self, empty_memory):
        fsspec.filesystem("memory").makedirs("/conformance", exist_ok=True)
        return ObjectReleaseStore(open_objects(empty_memory))

    @pytest.fixture
    def damage(self):
        def damage(content, other):
            memory = fsspec.filesystem("memory")
            (path,) = (path for path in memory.find("/conformance") if memory.cat_file(path) == content)
            memory.pipe_file(path, other)

        return damage


class TestMemoryTags(TagKeeperSuite):
    @pytest.fixture
    def commits(self):
        return ("a" * 40, "b" * 40)

    @pytest.fixture
    def keeper(self, commits):
        return MemoryTags(commits=set(commits))


class TestGitTags(TagKeeperSuite):
    @pytest.fixture
    def keeper(self, git_repository):
        return GitRepository(git_repository)

    @pytest.fixture
    def commits(self, git_repository):
        def git(*arguments):
            return subprocess.run(
                ["git", *arguments], cwd=git_repository, check=True, capture_output=True, text=True
            ).stdout.strip()

        first = git("rev-parse", "HEAD")
        git("commit", "-q", "--allow-empty", "-m", "second")
        return first, git("rev-parse", "HEAD")


class _Overwrites(MemoryObjects):
    def create(self, name, content):
        self.files[name] = content
        return True


class _TrustsNames(MemoryObjects):
    def missing(self, expected):
        return [name for name in expected if name not in self.files]


class _TrustsItself(MemoryObjects):
    def contents(self, names):
        # The digest that the name says, whatever the content.
        return {
            name: Content(len(self.files[name]), f"sha256:{name.rpartition('/')[2]}")
            for name in names
            if name in self.files
        }


def _broken_cases(suite, make, tmp_path):
    broken = []
    for name in sorted(name for name in vars(suite) if name.startswith("test_")):
        folder = tmp_path / name
        folder.mkdir()
        try:
            make(name, folder)
        except (AssertionError, ReleaseError, pytest.fail.Exception):
            broken.append(name)
    return broken


@pytest.mark.parametrize("spoilt", [_Overwrites, _TrustsNames, _TrustsItself])
def test_a_spoilt_store_does_not_conform(spoilt, tmp_path):
    def run(name, folder):
        objects = spoilt()
        store = ObjectReleaseStore(objects)

        def damage(content, other):
            (place,) = (place for place, kept in objects.files.items() if kept == content)
            objects.files[place] = other

        arguments = {"damage": damage} if name == "test_a_changed_byte_is_found" else {}
        arguments |= {} if name == "test_nothing_is_there_at_first" else {"tmp_path": folder}
        getattr(ReleaseStoreSuite(), name)(store, **arguments)

    assert _broken_cases(ReleaseStoreSuite, run, tmp_path)


def test_a_keeper_that_moves_tags_does_not_conform(tmp_path):
    class Moving(MemoryTags):
        def add_tag(self, tag):
            self.kept[tag.name] = tag
            return True

    commits = ("a" * 40, "b" * 40)

    def run(name, folder):
        getattr(TagKeeperSuite(), name)(Moving(commits=set(commits)), commits)

    assert "test_a_tag_is_made_once_and_never_moved" in _broken_cases(TagKeeperSuite, run, tmp_path)
