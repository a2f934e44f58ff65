"""Conformance suites: what every implementation of a protocol keeps, the fakes and the real ones.

A suite is a class of tests. Derive from it a class whose name begins with ``Test``, and give it the fixtures that its
docstring names::

    from gitrain.testing.conformance import RunStoreSuite

    class TestMyStore(RunStoreSuite):
        @pytest.fixture
        def store(self, tmp_path):
            return MyStore(tmp_path)
"""
# ruff: noqa: S101  (asserting is what suites do)

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitrain.errors import PipelineError, UsageError
from gitrain.lineage import digest_of_bytes
from gitrain.pipeline.repository import ArtifactCache, Repository
from gitrain.tracking.runs import CurvePoint, RunRecord, RunStore

__all__ = ["ArtifactCacheSuite", "RepositorySuite", "RunStoreSuite"]

_FILES = {"params.yaml": b"seed: 1\n", "reports/validation.json": b"{}\n"}
_RUN = RunRecord(
    key=f"sha256:{'a' * 64}",
    project="conformance",
    commit="c" * 40,
    dirty=False,
    recorded_at=datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC),
    params={"training.seed": "0"},
    metrics={"roc_auc": 0.75},
    curves={"loss": (CurvePoint(step=1, value=0.6), CurvePoint(step=2, value=0.5))},
    outputs={"models/model.skops": f"md5:{'d' * 32}"},
    model_digest=digest_of_bytes(b"model"),
    durations={"train": 12.5},
    validation="PASSED",
)


class RunStoreSuite:
    """For a `gitrain.tracking.runs.RunStore`. Fixture: `store`, an empty one."""

    def test_a_record_comes_back(self, store: RunStore) -> None:
        """What was recorded is what is got, with the store's own name of it."""
        kept = store.record(_RUN, _FILES)
        assert kept.run_id is not None
        assert replace(kept, run_id=None) == replace(_RUN, artifacts=tuple(sorted(_FILES)))
        assert store.get(_RUN.project, _RUN.key) == kept

    def test_what_is_not_there(self, store: RunStore) -> None:
        """Unknown projects and keys are nothing, not an error."""
        assert store.list("nobody") == []
        assert store.get("nobody", _RUN.key) is None
        store.record(_RUN, _FILES)
        assert store.get(_RUN.project, f"sha256:{'b' * 64}") is None
        assert store.get("nobody", _RUN.key) is None

    def test_a_key_is_recorded_once(self, store: RunStore) -> None:
        """A second record of a key adds no run and changes nothing."""
        first = store.record(_RUN, _FILES)
        later = replace(_RUN, recorded_at=_RUN.recorded_at + timedelta(days=1), metrics={"roc_auc": 0.1})
        assert store.record(later, {}) == first
        assert len(store.list(_RUN.project)) == 1

    def test_a_dirty_record_takes_over_a_clean_commit(self, store: RunStore) -> None:
        """Once there is a commit that brings the run back, the record names it, and keeps it."""
        store.record(replace(_RUN, commit="e" * 40, dirty=True), _FILES)
        store.record(_RUN, _FILES)
        found = store.get(_RUN.project, _RUN.key)
        assert found is not None
        assert (found.commit, found.dirty) == (_RUN.commit, False)
        store.record(replace(_RUN, commit="f" * 40, dirty=True), _FILES)
        assert store.get(_RUN.project, _RUN.key) == found

    def test_the_newest_comes_first_and_curves_stay_behind(self, store: RunStore) -> None:
        """The list is in the order of time, whatever the order of recording."""
        for day, letter in ((2, "b"), (3, "d"), (1, "e")):
            at = _RUN.recorded_at + timedelta(days=day)
            store.record(replace(_RUN, key=f"sha256:{letter * 64}", recorded_at=at), _FILES)
        found = store.list(_RUN.project)
        assert [run.key[7] for run in found] == ["d", "b", "e"]
        assert all(not run.curves for run in found)


class RepositorySuite:
    """For a `gitrain.pipeline.repository.Repository`.

    Fixtures: `repository`, without a commit; `add_commit`, which commits exactly the files of a mapping, checks them
    out and gives the hash; `write`, which puts a file into the working tree.
    """

    def test_before_the_first_commit(self, repository: Repository) -> None:
        """There is no head, and no name means a commit."""
        assert repository.head() is None
        with pytest.raises(UsageError):
            repository.commit("HEAD")

    def test_files_are_read_as_they_were(
        self, repository: Repository, add_commit: Callable[[Mapping[str, bytes]], str]
    ) -> None:
        """Each commit keeps its own content, byte by byte."""
        first = add_commit({"a.txt": b"one\r\n\0", "folder/b.txt": b""})
        second = add_commit({"a.txt": b"two"})
        assert repository.head() == second
        assert repository.read(first, "a.txt") == b"one\r\n\0"
        assert repository.read(first, "folder/b.txt") == b""
        assert repository.read("HEAD", "a.txt") == b"two"
        assert repository.read(second, "folder/b.txt") is None
        assert repository.read(first, "folder") is None

    def test_names_of_commits(self, repository: Repository, add_commit: Callable[[Mapping[str, bytes]], str]) -> None:
        """HEAD and shortened hashes are resolved; what names nothing is an error, not a guess."""
        first = add_commit({"a.txt": b"1"})
        second = add_commit({"a.txt": b"2"})
        assert first != second
        assert repository.commit(first[:12]) == first
        assert repository.commit("HEAD") == second
        for wrong in ("", "f" * 40, "no-such-branch"):
            with pytest.raises(UsageError):
                repository.commit(wrong)

    def test_what_has_changed(
        self,
        repository: Repository,
        add_commit: Callable[[Mapping[str, bytes]], str],
        write: Callable[[str, bytes], object],
    ) -> None:
        """Changed and new files are named, sorted; equal ones are not."""
        add_commit({"a.txt": b"1", "b.txt": b"1"})
        assert repository.changed() == []
        write("z/new.txt", b"new")
        write("b.txt", b"2")
        write("a.txt", b"1")
        assert repository.changed() == ["b.txt", "z/new.txt"]


class ArtifactCacheSuite:
    """For a `gitrain.pipeline.repository.ArtifactCache`.

    Fixtures: `cache`, an empty one; `put`, which stores a content and gives its MD5; `damage`, which changes what is
    stored under an MD5 behind the cache's back.
    """

    def test_content_is_found_by_its_hash(self, cache: ArtifactCache, put: Callable[[bytes], str]) -> None:
        """What was stored is found, and nothing else is."""
        md5 = put(b"content")
        other = put(b"")
        found, empty = cache.find(md5), cache.find(other)
        assert found is not None
        assert empty is not None
        assert found.read_bytes() == b"content"
        assert empty.read_bytes() == b""
        assert cache.find("0" * 32) is None

    def test_damaged_content_is_never_handed_out(
        self, cache: ArtifactCache, put: Callable[[bytes], str], damage: Callable[[str], object]
    ) -> None:
        """A hash that no longer fits is an error: the caller would take the wrong thing for the right one."""
        md5 = put(b"content")
        damage(md5)
        with pytest.raises(PipelineError):
            found: Path | None = cache.find(md5)
            assert found is None
