"""Conformance suites of what keeps releases; used like those of `gitrain.testing.conformance`."""
# ruff: noqa: S101  (asserting is what suites do)

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gitrain.errors import GitrainError, ReleaseError, UsageError
from gitrain.lineage import digest_of_bytes
from gitrain.release.bundle import BundleManifest
from gitrain.release.objects import Content, Objects
from gitrain.release.record import SBOM
from gitrain.release.store import ReleaseStore
from gitrain.release.tags import ReleaseTag, TagKeeper
from gitrain.testing.releases import make_release

__all__ = ["ObjectsSuite", "ReleaseStoreSuite", "TagKeeperSuite"]

_CREATORS = 8


class ObjectsSuite:
    """For a `gitrain.release.objects.Objects`. Fixture: `objects`, an empty one."""

    def test_what_is_not_there(self, objects: Objects, tmp_path: Path) -> None:
        """Nothing, and no error."""
        assert objects.read("folder/file") is None
        assert list(objects.list("folder")) == []
        assert dict(objects.contents(["folder/file"])) == {}
        assert list(objects.fetch({"folder/file": tmp_path / "file"})) == ["folder/file"]
        assert list(objects.missing({"folder/file": Content(0, digest_of_bytes(b""))})) == ["folder/file"]

    def test_files_come_back(self, objects: Objects, tmp_path: Path) -> None:
        """Whatever way they were written, byte by byte."""
        content = bytes(range(256)) * 300
        (tmp_path / "source").write_bytes(content)
        (tmp_path / "empty").write_bytes(b"")
        with objects.writing():
            objects.put({"blobs/ab/cd": tmp_path / "source", "blobs/ab/ef": tmp_path / "empty"})
            assert objects.create("records/one.json", b"{}\n")
        assert objects.read("blobs/ab/cd") == content
        assert objects.read("records/one.json") == b"{}\n"
        assert list(objects.list("blobs/ab")) == ["cd", "ef"]
        assert list(objects.list("blobs")) == []
        assert objects.contents(["blobs/ab/cd", "gone"]) == {
            "blobs/ab/cd": Content(len(content), digest_of_bytes(content))
        }
        assert list(objects.fetch({"blobs/ab/cd": tmp_path / "copy"})) == []
        assert (tmp_path / "copy").read_bytes() == content

    def test_a_file_is_created_once(self, objects: Objects) -> None:
        """Who comes second changes nothing."""
        assert objects.create("records/one.json", b"first")
        assert not objects.create("records/one.json", b"second")
        assert objects.read("records/one.json") == b"first"

    def test_of_many_creators_one_wins(self, objects: Objects) -> None:
        """At the same time, too; and what is there is what that one wrote."""
        start, won = threading.Barrier(_CREATORS), []

        def create(number: int) -> None:
            start.wait()
            if objects.create("records/one.json", b"%d" % number * 1000):
                won.append(number)

        threads = [threading.Thread(target=create, args=(number,)) for number in range(_CREATORS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert objects.read("records/one.json") == b"%d" % won[0] * 1000

    def test_what_is_cut_short_is_missing(self, objects: Objects, tmp_path: Path) -> None:
        """A file of another length is written again."""
        (tmp_path / "half").write_bytes(b"hal")
        (tmp_path / "whole").write_bytes(b"whole")
        expected = {"blobs/x": Content(5, digest_of_bytes(b"whole"))}
        objects.put({"blobs/x": tmp_path / "half"})
        assert list(objects.missing(expected)) == ["blobs/x"]
        objects.put({"blobs/x": tmp_path / "whole"})
        assert list(objects.missing(expected)) == []
        assert objects.read("blobs/x") == b"whole"


class ReleaseStoreSuite:
    """For a `gitrain.release.store.ReleaseStore`.

    Fixtures: `store`, an empty one; `damage`, which changes the stored bytes of a file of a bundle, given its content,
    behind the store's back.
    """

    def test_nothing_is_there_at_first(self, store: ReleaseStore) -> None:
        """Looking for what is not there is no error; asking for it is."""
        assert list(store.list()) == []
        assert list(store.versions()) == []
        assert store.find("1.4.0") is None
        assert store.find("../1.4.0") is None
        assert store.find_commit("c" * 40) is None
        assert list(store.attachments("1.4.0")) == []
        for call in (store.problems, lambda version: store.attachment(version, SBOM)):
            with pytest.raises(ReleaseError, match=r"no release 1\.4\.0"):
                call("1.4.0")

    def test_a_release_comes_back(self, store: ReleaseStore, tmp_path: Path) -> None:
        """The record, the bundle to the byte and to the right to run, the attachments."""
        program = {"src/run.sh": b"#!/bin/sh\n", "src/a/b/empty": b"", "src/twin": b"#!/bin/sh\n"}
        (tmp_path / "bundle" / "src").mkdir(parents=True)
        (tmp_path / "bundle" / "src" / "run.sh").touch(0o755)
        made = make_release(tmp_path / "bundle", files=program)
        assert store.publish(made.record, made.bundle, made.attachments)
        assert store.find("1.4.0") == made.record
        assert list(store.versions()) == ["1.4.0"]
        assert list(store.list()) == [made.record]
        assert store.find_commit("c" * 40) == made.record
        assert list(store.attachments("1.4.0")) == [SBOM]
        assert store.attachment("1.4.0", SBOM) == made.attachments[SBOM]
        assert list(store.problems("1.4.0")) == []
        folder = store.unpack("1.4.0", tmp_path / "deep" / "unpacked")
        assert BundleManifest.of(folder) == BundleManifest.of(made.bundle)
        with pytest.raises(ReleaseError, match=r"no attachment"):
            store.attachment("1.4.0", "other")

    def test_publishing_again_does_nothing(self, store: ReleaseStore, tmp_path: Path) -> None:
        """Save that attachments may be added; none is replaced."""
        made = make_release(tmp_path / "bundle")
        assert store.publish(made.record, made.bundle, made.attachments)
        assert not store.publish(made.record, made.bundle, made.attachments)
        assert not store.publish(made.record, made.bundle, {})
        assert store.publish(made.record, made.bundle, {"signature.json": b"{}"})
        assert list(store.attachments("1.4.0")) == [SBOM, "signature.json"]
        with pytest.raises(ReleaseError, match="another content"):
            store.publish(made.record, made.bundle, {"signature.json": b"[]"})
        assert store.attachment("1.4.0", "signature.json") == b"{}"

    def test_a_version_is_never_given_twice(self, store: ReleaseStore, tmp_path: Path) -> None:
        """Another release under it is refused, and the first one stays whole."""
        first = make_release(tmp_path / "first")
        second = make_release(tmp_path / "second", model=b"another")
        store.publish(first.record, first.bundle, first.attachments)
        with pytest.raises(ReleaseError, match=r"another release 1\.4\.0"):
            store.publish(second.record, second.bundle, second.attachments)
        assert store.find("1.4.0") == first.record
        assert list(store.problems("1.4.0")) == []

    def test_versions_are_in_their_order(self, store: ReleaseStore, tmp_path: Path) -> None:
        """As numbers; and the newest release of a commit is found."""
        for version in ("0.10.0", "0.2.0", "0.9.0", "1.0.0"):
            made = make_release(tmp_path / version, version, commit="d" * 40 if version == "1.0.0" else "c" * 40)
            store.publish(made.record, made.bundle, made.attachments)
        assert list(store.versions()) == ["0.2.0", "0.9.0", "0.10.0", "1.0.0"]
        assert [record.version for record in store.list()] == ["0.2.0", "0.9.0", "0.10.0", "1.0.0"]
        found = store.find_commit("c" * 40)
        assert found is not None
        assert found.version == "0.10.0"

    def test_what_the_record_does_not_describe_is_refused(self, store: ReleaseStore, tmp_path: Path) -> None:
        """A changed bundle, a missing or changed SBOM, a link: and nothing is there afterwards."""
        made = make_release(tmp_path / "bundle")
        with pytest.raises(ReleaseError, match=SBOM):
            store.publish(made.record, made.bundle, {})
        with pytest.raises(ReleaseError, match=SBOM):
            store.publish(made.record, made.bundle, {SBOM: b"other"})
        for name in ("", "../x", "a/b", ".hidden"):
            with pytest.raises(ReleaseError, match="no name of an attachment"):
                store.publish(made.record, made.bundle, {**made.attachments, name: b""})
        (made.bundle / "more").write_bytes(b"")
        with pytest.raises(ReleaseError, match="does not describe the bundle"):
            store.publish(made.record, made.bundle, made.attachments)
        (made.bundle / "more").unlink()
        (made.bundle / "more").symlink_to("src")
        with pytest.raises(ReleaseError, match="is no bundle"):
            store.publish(made.record, made.bundle, made.attachments)
        assert list(store.versions()) == []

    def test_a_changed_byte_is_found(
        self, store: ReleaseStore, damage: Callable[[bytes, bytes], object], tmp_path: Path
    ) -> None:
        """It is named with what was expected and found, it is never handed out, and publishing again mends it."""
        made = make_release(tmp_path / "bundle", model=b"the model")
        store.publish(made.record, made.bundle, made.attachments)
        damage(b"the model", b"the modem!")
        problems = store.problems("1.4.0")
        assert len(problems) == 1
        assert "src/models/serving/model.onnx" in problems[0]
        assert digest_of_bytes(b"the model") in problems[0]
        assert digest_of_bytes(b"the modem!") in problems[0]
        with pytest.raises(ReleaseError, match=r"model\.onnx"):
            store.unpack("1.4.0", tmp_path / "unpacked")
        assert not (tmp_path / "unpacked").exists()
        assert store.publish(made.record, made.bundle, made.attachments)
        assert list(store.problems("1.4.0")) == []

    def test_what_is_unpacked_is_looked_at_again(self, store: ReleaseStore, tmp_path: Path) -> None:
        """Whole: left alone, whatever Python compiled there since. Changed, or something else: refused and kept."""
        made = make_release(tmp_path / "bundle")
        store.publish(made.record, made.bundle, made.attachments)
        folder = store.unpack("1.4.0", tmp_path / "unpacked")
        before = (folder / "src" / "release.json").stat().st_mtime_ns
        (folder / "src" / "__pycache__").mkdir()
        (folder / "src" / "__pycache__" / "x.pyc").write_bytes(b"compiled")
        assert store.unpack("1.4.0", folder) == folder
        assert (folder / "src" / "release.json").stat().st_mtime_ns == before
        changes: Sequence[tuple[str, Callable[[Path], object]]] = (
            (r"more does not belong", lambda at: (at / "more").write_bytes(b"")),
            (r"requirements\.txt: expected", lambda at: (at / "src" / "requirements.txt").write_bytes(b"other")),
            (r"requirements\.txt is missing", lambda at: (at / "src" / "requirements.txt").unlink()),
            (r"release\.json is executable", lambda at: (at / "src" / "release.json").chmod(0o755)),
        )
        for number, (says, change) in enumerate(changes):
            other = store.unpack("1.4.0", tmp_path / f"unpacked-{number}")
            change(other)
            with pytest.raises(ReleaseError, match=says):
                store.unpack("1.4.0", other)
        (tmp_path / "mine").write_bytes(b"mine")
        with pytest.raises(GitrainError):
            store.unpack("1.4.0", tmp_path / "mine")
        assert (tmp_path / "mine").read_bytes() == b"mine"
        assert not list(tmp_path.glob(".*"))


class TagKeeperSuite:
    """For a `gitrain.release.tags.TagKeeper`.

    Fixtures: `keeper`, without tags; `commits`, the full hashes of two commits in its repository.
    """

    def test_a_tag_comes_back(self, keeper: TagKeeper, commits: tuple[str, str]) -> None:
        """With its message, line by line."""
        assert list(keeper.tags()) == []
        tag = ReleaseTag(name="a-project@v1.4.0", commit=commits[0], message="a 1.4.0\n\nrecord: x\n# no comment\n")
        assert keeper.add_tag(tag)
        assert list(keeper.tags()) == [tag]

    def test_a_tag_is_made_once_and_never_moved(self, keeper: TagKeeper, commits: tuple[str, str]) -> None:
        """Again on its commit does nothing, on another one is an error."""
        tag = ReleaseTag(name="a@v1.0.0", commit=commits[0], message="first\n")
        assert keeper.add_tag(tag)
        assert not keeper.add_tag(ReleaseTag(name=tag.name, commit=tag.commit, message="second\n"))
        with pytest.raises(ReleaseError, match=r"a@v1\.0\.0"):
            keeper.add_tag(ReleaseTag(name=tag.name, commit=commits[1], message="first\n"))
        assert list(keeper.tags()) == [tag]

    def test_what_cannot_be_a_tag(self, keeper: TagKeeper, commits: tuple[str, str]) -> None:
        """A name that is none, a commit that is not there."""
        for name, commit in (("", commits[0]), ("a b", commits[0]), ("a..b", commits[0]), ("a@v1.0.0", "f" * 40)):
            with pytest.raises(UsageError):
                keeper.add_tag(ReleaseTag(name=name, commit=commit, message="m\n"))
        assert list(keeper.tags()) == []
