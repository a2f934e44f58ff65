"""Files by URL: reading, which file systems may keep releases, and errors that name no secrets."""

import fsspec
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from gitrain.errors import IntegrationError, ReleaseError, UsageError
from gitrain.integrations.fsspec import FsspecObjects, open_objects, open_url, shown
from gitrain.integrations.release_store import ObjectReleaseStore
from gitrain.release.objects import Content
from gitrain.testing.releases import make_release


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.makedirs("/here", exist_ok=True)
    yield system
    system.rm("/here", recursive=True)


def test_files_are_read_by_url_or_path(tmp_path, memory):
    (tmp_path / "rows.csv").write_bytes(b"a\n1\n")
    memory.pipe_file("/here/rows.csv", b"a\n2\n")

    for url, content in (
        (str(tmp_path / "rows.csv"), b"a\n1\n"),
        ((tmp_path / "rows.csv").as_uri(), b"a\n1\n"),
        ("memory://here/rows.csv", b"a\n2\n"),
    ):
        with open_url(url) as stream:
            assert stream.read() == content


@pytest.mark.parametrize(
    ("url", "kind", "says"),
    [
        ("memory://here/gone", UsageError, "is no file"),
        ("/gone/rows.csv", UsageError, "is no file"),
        ("nowhere://x/y", UsageError, "Protocol not known"),
        ("abfs://container@account/x", IntegrationError, "install"),
    ],
)
def test_what_cannot_be_opened(url, kind, says, memory):
    with pytest.raises(kind, match=says) as raised, open_url(url):
        pass
    assert "mend" in str(raised.value)


def test_an_error_of_who_reads_is_left_alone(tmp_path):
    (tmp_path / "rows.csv").write_bytes(b"")
    with pytest.raises(UsageError, match="mine"), open_url(str(tmp_path / "rows.csv")):
        raise UsageError("mine", fix="x.")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket/folder", "s3://bucket/folder"),
        ("https://user:pass@host:8443/a?token=1#x", "https://host:8443/a"),
        ("sftp://user@host/a", "sftp://host/a"),
        ("/a/folder", "/a/folder"),
        ("folder", "folder"),
        ("file:///a/b", "file:///a/b"),
    ],
)
def test_no_secret_is_shown(url, expected):
    assert shown(url) == expected


def test_a_store_in_a_bucket(tmp_path, memory):
    made = make_release(tmp_path / "bundle")
    store = ObjectReleaseStore(open_objects("memory://here/releases"))

    store.publish(made.record, made.bundle, made.attachments)

    assert store.url == "memory://here/releases"
    assert memory.exists("/here/releases/records/1.4.0.json")
    memory.pipe_file("/here/releases/records/1.4.0.json", made.record.to_json().encode() + b" ")
    with pytest.raises(ReleaseError, match="was changed"):
        store.find("1.4.0")


class _Old(MemoryFileSystem):
    """As file systems were before exclusive writing."""

    protocol = "old"

    def pipe_file(self, path, value, **options):
        with self.open(path, "wb") as stream:
            stream.write(value)


class _Refuses(MemoryFileSystem):
    """Its kind may, this version of its library does not."""

    def pipe_file(self, path, value, mode="overwrite", **options):
        raise NotImplementedError("Exclusive write not supported")


@pytest.mark.parametrize("system", [_Old(), _Refuses(), LocalFileSystem(), DirFileSystem("/x", MemoryFileSystem())])
def test_a_file_system_that_may_overwrite_keeps_no_releases(system, tmp_path):
    objects = FsspecObjects(file_system=system, folder=str(tmp_path / "releases"), url="x://y")
    with pytest.raises(ReleaseError, match="cannot make a file without writing over"):
        objects.create("records/1.4.0.json", b"{}")
    assert objects.read("records/1.4.0.json") is None


class _PassesOver(MemoryFileSystem):
    """A service that takes the condition and does not keep it."""

    def pipe_file(self, path, value, mode="overwrite", **options):
        super().pipe_file(path, value)


def test_a_service_that_does_not_keep_the_promise_is_found_out(memory, tmp_path):
    store = ObjectReleaseStore(FsspecObjects(file_system=_PassesOver(), folder="/here", url="x://y"))
    made = make_release(tmp_path / "bundle")
    with pytest.raises(ReleaseError, match="without writing over"):
        store.publish(made.record, made.bundle, made.attachments)
    assert list(store.versions()) == []


class _Broken(MemoryFileSystem):
    def pipe_file(self, path, value, mode="overwrite", **options):
        super().pipe_file(path, value, mode=mode)
        raise ConnectionError("gone: https://user:secret@host/x")

    def cat_file(self, path, **options):
        raise ConnectionError("gone: https://user:secret@host/x")


def test_what_was_written_before_the_connection_broke_is_not_written_again(memory):
    objects = FsspecObjects(file_system=_Broken(), folder="/here", url="x://y")
    # The caller compares what is there with its own.
    assert not objects.create("one", b"content")
    assert memory.cat_file("/here/one") == b"content"


def test_errors_of_a_service_are_ours_and_name_no_secret(tmp_path):
    objects = FsspecObjects(file_system=_Broken(), folder="/here", url="x://y")
    with pytest.raises(IntegrationError, match="ConnectionError") as raised:
        objects.read("one")
    assert "secret" not in str(raised.value)


def test_sizes_decide_where_reading_costs(memory):
    memory.pipe_file("/here/one", b"abc")
    objects = open_objects("memory://here")
    same_size = Content(3, f"sha256:{'0' * 64}")
    assert list(objects.missing({"one": same_size, "two": same_size})) == ["two"]
    assert list(objects.missing({"one": Content(4, f"sha256:{'0' * 64}")})) == ["one"]
