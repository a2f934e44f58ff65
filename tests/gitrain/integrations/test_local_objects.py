"""Publishing to a folder: killed at any point and done again, two at once, odd folders."""

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gitrain.errors import IntegrationError, ReleaseError
from gitrain.integrations.local_objects import LocalObjects
from gitrain.integrations.release_store import ObjectReleaseStore
from gitrain.lineage import digest_of_bytes
from gitrain.release.record import SBOM
from gitrain.testing.releases import make_release

# Publishes; what it calls of the operating system is counted, and at call number N it is killed, before or after it.
PUBLISHER = """
    import os, signal, sys
    from pathlib import Path
    from gitrain.integrations.local_objects import LocalObjects
    from gitrain.integrations.release_store import ObjectReleaseStore
    from gitrain.testing.releases import make_release

    bundle, folder, model, deadly, when = sys.argv[1:]
    calls, deadly = 0, int(deadly)

    def dying(original):
        def call(*arguments, **options):
            global calls
            calls += 1
            if calls == deadly and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*arguments, **options)
            if calls == deadly and when == "after":
                os.kill(os.getpid(), signal.SIGKILL)
            return result
        return call

    made = make_release(Path(bundle), model=model.encode())
    for name in ("fsync", "link", "replace", "unlink", "fchmod"):
        setattr(os, name, dying(getattr(os, name)))
    try:
        changed = ObjectReleaseStore(LocalObjects(Path(folder))).publish(made.record, made.bundle, made.attachments)
    except Exception as error:
        print(type(error).__name__, calls)
    else:
        print(changed, calls)
"""


def publisher(tmp_path, name, model="model", deadly=0, when="before"):
    arguments = [str(tmp_path / name), str(tmp_path / "releases"), model, str(deadly), when]
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PUBLISHER), *arguments], stdout=subprocess.PIPE, text=True
    )


def run(process):
    said, _ = process.communicate(timeout=60)
    return process.returncode, said.split()


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".unfinished" not in path.parts
    }


@pytest.mark.slow
def test_killed_anywhere_and_published_again(tmp_path):
    """The record is the last file: before it nothing is there, and doing it again gives the same to the byte."""
    code, (said, calls) = run(publisher(tmp_path, "whole"))
    assert (code, said) == (0, "True")
    expected = tree(tmp_path / "releases")
    (tmp_path / "releases").rename(tmp_path / "expected")
    # Every third point, and those around the record's link, where it counts.
    last = int(calls)
    points = sorted({*range(1, last, 3), *range(last - 4, last + 1)})
    killed = 0
    for number, deadly in enumerate(points):
        store = ObjectReleaseStore(LocalObjects(tmp_path / "releases"))
        code, _ = run(publisher(tmp_path, f"bundle-{number}", deadly=deadly, when=("before", "after")[number % 2]))
        assert code == -signal.SIGKILL
        killed += 1
        if store.find("1.4.0") is not None:
            # What readers see is whole.
            assert list(store.problems("1.4.0")) == []
        else:
            assert list(store.versions()) == []
        made = make_release(tmp_path / f"again-{number}")
        store.publish(made.record, made.bundle, made.attachments)
        assert tree(tmp_path / "releases") == expected
        assert not list((tmp_path / "releases" / ".unfinished").glob("*.part"))
        assert not store.publish(made.record, made.bundle, made.attachments)
        (tmp_path / "releases").rename(tmp_path / f"done-{number}")
    assert killed == len(points) > 5


@pytest.mark.slow
def test_two_publishers_of_one_version(tmp_path):
    """Of two different releases one wins; the other gets an error that says so, and nothing is half done."""
    for number in range(3):
        both = [publisher(tmp_path, f"{number}-{model}", model) for model in ("one", "two")]
        results = [run(process)[1][0] for process in both]
        assert sorted(results) == ["ReleaseError", "True"]
        store = ObjectReleaseStore(LocalObjects(tmp_path / "releases"))
        assert list(store.problems("1.4.0")) == []
        (tmp_path / "releases").rename(tmp_path / f"done-{number}")


@pytest.mark.slow
def test_two_publishers_of_the_same_release(tmp_path):
    both = [publisher(tmp_path, f"bundle-{number}") for number in range(2)]
    results = [run(process) for process in both]
    assert [code for code, _ in results] == [0, 0]
    assert "True" in {said[0] for _, said in results} <= {"True", "False"}
    assert list(ObjectReleaseStore(LocalObjects(tmp_path / "releases")).problems("1.4.0")) == []


def test_what_is_stored_is_for_reading(tmp_path):
    made = make_release(tmp_path / "bundle")
    ObjectReleaseStore(LocalObjects(tmp_path / "releases")).publish(made.record, made.bundle, made.attachments)
    modes = {stat.S_IMODE((tmp_path / "releases" / name).stat().st_mode) for name in tree(tmp_path / "releases")}
    assert modes == {0o444}


def test_a_working_writer_keeps_its_files(tmp_path):
    objects = LocalObjects(tmp_path)
    with objects.writing():
        left = tmp_path / ".unfinished" / "other.part"
        left.write_bytes(b"half")
        with LocalObjects(tmp_path).writing():
            assert left.exists()
    with objects.writing():
        assert not left.exists()


@pytest.mark.parametrize("keep", [0, 3, None])
def test_a_file_that_was_cut_short_or_changed_is_healed(keep, tmp_path):
    made = make_release(tmp_path / "bundle", model=b"the model")
    store = ObjectReleaseStore(LocalObjects(tmp_path / "releases"))
    store.publish(made.record, made.bundle, made.attachments)
    (path,) = (
        path for path in (tmp_path / "releases").rglob("*") if path.is_file() and path.read_bytes() == b"the model"
    )
    path.chmod(0o644)
    path.write_bytes(b"the modem" if keep is None else b"the model"[:keep])

    assert len(store.problems("1.4.0")) == 1
    assert store.publish(made.record, made.bundle, made.attachments)
    assert list(store.problems("1.4.0")) == []


def test_every_flipped_bit_is_found(tmp_path):
    made = make_release(tmp_path / "bundle")
    store = ObjectReleaseStore(LocalObjects(tmp_path / "releases"))
    store.publish(made.record, made.bundle, made.attachments)
    names = tree(tmp_path / "releases")
    assert {name.partition("/")[0] for name in names} == {"attachments", "blobs", "bundles", "records"}
    for name, content in names.items():
        path = tmp_path / "releases" / name
        path.chmod(0o644)
        for at in (0, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            problems = store.problems("1.4.0")
            assert problems, (name, at)
            named = SBOM if name.startswith("attachments") else Path(name).name
            assert any(named in problem for problem in problems), problems
        path.unlink()
        if not name.startswith("records"):
            assert store.problems("1.4.0")
        path.write_bytes(content)
    assert list(store.problems("1.4.0")) == []


def test_a_record_under_another_version(tmp_path):
    made = make_release(tmp_path / "bundle")
    store = ObjectReleaseStore(LocalObjects(tmp_path / "releases"))
    store.publish(made.record, made.bundle, made.attachments)
    (tmp_path / "releases" / "records" / "1.5.0.json").write_text(made.record.to_json())
    assert store.problems("1.5.0") == [f"{store.url}/records/1.5.0.json is the record of 1.4.0, not of 1.5.0"]
    with pytest.raises(ReleaseError, match=r"is the record of 1\.4\.0"):
        store.find("1.5.0")


def test_a_hostile_manifest_leads_nowhere_else(tmp_path):
    """Its digest is right, since whoever wrote it wrote the record too; its paths lead out of the folder."""
    made = make_release(tmp_path / "bundle")
    store = ObjectReleaseStore(LocalObjects(tmp_path / "releases"))
    store.publish(made.record, made.bundle, made.attachments)
    (path,) = (tmp_path / "releases" / "bundles" / "sha256").iterdir()
    manifest = path.read_text().replace("src/release.json", "../release.json")
    digest = digest_of_bytes(manifest.encode())
    (path.parent / f"{digest.removeprefix('sha256:')}.json").write_text(manifest)
    record = json.loads(made.record.to_json()) | {"bundle_digest": digest}
    text = json.dumps(record, indent=2, sort_keys=True) + "\n"
    place = tmp_path / "releases" / "records" / "1.4.0.json"
    place.chmod(0o644)
    place.write_text(text)

    with pytest.raises(ReleaseError, match="no path inside a bundle"):
        store.unpack("1.4.0", tmp_path / "deep" / "unpacked")
    assert not (tmp_path / "deep").exists() or not list((tmp_path / "deep").iterdir())


def test_other_files_among_the_records_are_passed_over(tmp_path):
    (tmp_path / "records").mkdir()
    for name in ("README.md", "1.4.json", "1.4.0.json.bak", ".1.4.0.json", "01.4.0.json"):
        (tmp_path / "records" / name).write_text("x")
    (tmp_path / "records" / "1.4.0.json").mkdir()
    assert ObjectReleaseStore(LocalObjects(tmp_path)).list() == []


def test_a_folder_that_is_none(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    made = make_release(tmp_path / "bundle")
    with pytest.raises(IntegrationError, match="release store"):
        ObjectReleaseStore(LocalObjects(tmp_path / "file")).publish(made.record, made.bundle, made.attachments)


def test_a_file_system_without_links_is_refused(tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError(1, "Operation not permitted", source)

    monkeypatch.setattr(os, "link", refuse)
    made = make_release(tmp_path / "bundle")
    store = ObjectReleaseStore(LocalObjects(tmp_path / "releases"))
    with pytest.raises(ReleaseError, match="without hard links"):
        store.publish(made.record, made.bundle, made.attachments)
    assert list(store.versions()) == []


def test_unpacking_is_one_step(tmp_path):
    """Killed while it unpacks, a folder of that name is not there."""
    made = make_release(tmp_path / "bundle", files={f"src/f{number}": b"x" * number for number in range(50)})
    ObjectReleaseStore(LocalObjects(tmp_path / "releases")).publish(made.record, made.bundle, made.attachments)
    program = f"""
        import os, signal
        from pathlib import Path
        from gitrain.integrations.local_objects import LocalObjects
        from gitrain.integrations.release_store import ObjectReleaseStore
        os.rename = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
        ObjectReleaseStore(LocalObjects(Path({str(tmp_path / "releases")!r}))).unpack(
            "1.4.0", Path({str(tmp_path / "unpacked")!r})
        )
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "unpacked").exists()
    assert list(tmp_path.glob(".unpacked.*"))
    ObjectReleaseStore(LocalObjects(tmp_path / "releases")).unpack("1.4.0", tmp_path / "unpacked")
    assert tree(tmp_path / "unpacked") == tree(made.bundle)
    assert not list(tmp_path.glob(".unpacked.*"))


def test_several_unpack_at_once(tmp_path):
    made = make_release(tmp_path / "bundle", files={f"src/f{number}": b"x" * number for number in range(50)})
    store = ObjectReleaseStore(LocalObjects(tmp_path / "releases"))
    store.publish(made.record, made.bundle, made.attachments)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: store.unpack("1.4.0", tmp_path / "unpacked"), range(8)))
    assert set(found) == {tmp_path / "unpacked"}
    assert tree(tmp_path / "unpacked") == tree(made.bundle)
    assert not list(tmp_path.glob(".unpacked.*"))
