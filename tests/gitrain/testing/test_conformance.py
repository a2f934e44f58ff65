"""The suites on the fakes and on the real integrations; each suite finds a fake that is spoilt."""

import hashlib
import os
import subprocess
from dataclasses import replace

import pytest

from gitrain.errors import UsageError
from gitrain.integrations.dvc import DvcCache
from gitrain.integrations.git import GitRepository
from gitrain.integrations.mlflow import MlflowRunStore
from gitrain.testing.conformance import ArtifactCacheSuite, RepositorySuite, RunStoreSuite
from gitrain.testing.fakes import FolderCache, MemoryRepository, MemoryRunStore


class TestMemoryRunStore(RunStoreSuite):
    @pytest.fixture
    def store(self):
        return MemoryRunStore()


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """An empty database of MLflow's: migrating takes seconds, copying does not."""
    root = tmp_path_factory.mktemp("mlflow")
    store = MlflowRunStore("sqlite:///mlflow.db", root)
    run = replace(_any_run(), project="another-project")
    store.record(run, {})
    return root / "mlflow.db"


def _any_run():
    from gitrain.testing import conformance

    return conformance._RUN


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestMlflowRunStore(RunStoreSuite):
    @pytest.fixture
    def store(self, database, tmp_path):
        (tmp_path / "mlflow.db").write_bytes(database.read_bytes())
        return MlflowRunStore("sqlite:///mlflow.db", tmp_path)


class TestMemoryRepository(RepositorySuite):
    @pytest.fixture
    def repository(self):
        return MemoryRepository()

    @pytest.fixture
    def add_commit(self, repository):
        return repository.add_commit

    @pytest.fixture
    def write(self, repository):
        def write(path, content):
            # `add_commit` puts another tree into its place.
            repository.tree[path] = content

        return write


class TestGitRepository(RepositorySuite):
    @pytest.fixture
    def repository(self, tmp_path):
        self._git(tmp_path, "init", "-q", "-b", "main")
        return GitRepository(tmp_path)

    @pytest.fixture
    def write(self, tmp_path):
        def write(path, content):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content)

        return write

    @pytest.fixture
    def add_commit(self, repository, tmp_path, write):
        def add_commit(files):
            self._git(tmp_path, "rm", "-rq", "--ignore-unmatch", ".")
            for path, content in files.items():
                write(path, content)
            self._git(tmp_path, "add", "-A")
            self._git(tmp_path, "commit", "-q", "-m", "files")
            return self._git(tmp_path, "rev-parse", "HEAD").strip()

        return add_commit

    def _git(self, folder, *arguments):
        return subprocess.run(
            ["git", "-c", "core.autocrlf=false", *arguments], cwd=folder, check=True, capture_output=True, text=True
        ).stdout


class TestFolderCache(ArtifactCacheSuite):
    @pytest.fixture
    def cache(self, tmp_path):
        return FolderCache(tmp_path / "cache")

    @pytest.fixture
    def put(self, cache):
        return cache.put

    @pytest.fixture
    def damage(self, cache):
        return lambda md5: (cache.folder / md5).write_bytes(b"other")


class TestDvcCache(ArtifactCacheSuite):
    @pytest.fixture
    def cache(self, tmp_path):
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
        (tmp_path / ".dvc").mkdir()
        (tmp_path / ".dvc" / "config").write_text("")
        return DvcCache(tmp_path)

    @pytest.fixture
    def put(self, cache):
        def put(content):
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            path = cache.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            return md5

        return put

    @pytest.fixture
    def damage(self, cache):
        def damage(md5):
            path = cache.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
            os.chmod(path, 0o644)
            path.write_bytes(b"other")

        return damage


def cases(suite):
    return sorted(name for name in vars(suite) if name.startswith("test_"))


class _Forgets(MemoryRunStore):
    def get(self, project, key):
        return None


class _Doubles(MemoryRunStore):
    def list(self, project):
        return [run for run in super().list(project) for _ in range(2)]


class _Oldest(MemoryRunStore):
    def list(self, project):
        return list(reversed(super().list(project)))


class _Overwrites(MemoryRunStore):
    def record(self, run, files):
        self._records.pop((run.project, run.key), None)
        return super().record(run, files)


@pytest.mark.parametrize("spoilt", [_Forgets, _Doubles, _Oldest, _Overwrites])
def test_a_spoilt_store_does_not_conform(spoilt):
    failures = 0
    for name in cases(RunStoreSuite):
        try:
            getattr(RunStoreSuite(), name)(spoilt())
        except AssertionError:
            failures += 1
    assert failures


def test_a_cache_that_trusts_names_does_not_conform(tmp_path):
    class Trusting(FolderCache):
        def find(self, md5):
            path = self.folder / md5
            return path if path.is_file() else None

    cache = Trusting(tmp_path)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        ArtifactCacheSuite().test_damaged_content_is_never_handed_out(
            cache, cache.put, lambda md5: (cache.folder / md5).write_bytes(b"other")
        )


def test_a_repository_that_guesses_does_not_conform():
    class Guessing(MemoryRepository):
        def commit(self, ref):
            try:
                return super().commit(ref)
            except UsageError:
                return self.head() or ""

    repository = Guessing()
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        RepositorySuite().test_names_of_commits(repository, repository.add_commit)
