"""Files of days that have counted: damaged, unreadable, cut short while they are written, of other rules."""

import os

import pytest
from tests.gitrain.full_disk import DISKS, small_disk

from gitrain.integrations.kept_days import KeptDaysFiles
from gitrain.monitoring.kept_days import KeptDays, KeptPart

RULES, OTHERS = (f"sha256:{digit * 64}" for digit in "ab")


def days(rules: str = RULES, *, count: int = 2, release: str = "1.0.0") -> KeptDays:
    numbers = (3.0,) * count
    part = KeptPart(
        release=release,
        slice="depot",
        group="Łódź",
        days=tuple(f"{day:06d}" for day in range(count)),
        predicted=numbers,
        rows=numbers,
        loss=(0.1 + 0.2,) * count,
        positives=(1.0,) * count,
        probability=(1 / 3,) * count,
    )
    return KeptDays(schema_version=1, rules=rules, parts=(part,))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def files(tmp_path, said) -> KeptDaysFiles:
    return KeptDaysFiles(tmp_path / "monitoring/test", said.append)


def test_what_was_written_is_read_to_the_last_bit_and_rules_do_not_mix(files, said, tmp_path):
    assert files.read(RULES) == KeptDays(schema_version=1, rules=RULES)

    files.write(days())
    files.write(days(OTHERS, release="2.0.0"))

    assert files.read(RULES) == days()
    assert files.read(OTHERS) == days(OTHERS, release="2.0.0")
    assert said == []
    assert (tmp_path / "monitoring/test").stat().st_mode & 0o777 == 0o700


DAMAGES = {
    "cut short": lambda whole: whole[: len(whole) // 2],
    "empty": lambda _: b"",
    "no text": lambda whole: b"\xff\xfe" + whole,
    "no mapping": lambda _: b"[]\n",
    "another generation": lambda whole: whole.replace(b'"schema_version":1', b'"schema_version":2'),
    "an unknown key": lambda whole: whole.replace(b'"slice"', b'"slce"'),
    "impossible numbers": lambda whole: whole.replace(b"0.30000000000000004", b"-1.0"),
    "not finite": lambda whole: whole.replace(b"0.30000000000000004", b"NaN"),
    "of other rules": lambda whole: whole.replace(RULES.encode(), OTHERS.encode()),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_named_and_made_anew(files, said, tmp_path, damage):
    files.write(days())
    (path,) = (tmp_path / "monitoring/test").iterdir()
    path.write_bytes(damage(path.read_bytes()))

    assert files.read(RULES) == KeptDays(schema_version=1, rules=RULES)
    (told,) = said
    assert str(path) in told and "is damaged" in told
    files.write(days(count=1))
    assert files.read(RULES) == days(count=1)
    assert len(said) == 1


def test_a_file_that_cannot_be_read_is_told_and_left_alone(files, said, tmp_path):
    files.write(days())
    (path,) = (tmp_path / "monitoring/test").iterdir()
    content = path.read_bytes()
    path.unlink()
    path.mkdir()

    assert files.read(RULES) == KeptDays(schema_version=1, rules=RULES)
    assert "cannot be read" in said[0]
    path.rmdir()
    path.write_bytes(content)
    files.write(days(count=1))
    assert path.read_bytes() == content


def test_a_process_that_ends_while_it_writes_leaves_the_former_days(files, tmp_path, monkeypatch):
    files.write(days())

    def ends(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", ends)
        with pytest.raises(KeyboardInterrupt):
            files.write(days(count=1))

    assert files.read(RULES) == days()
    assert len(list((tmp_path / "monitoring/test").iterdir())) == 1


@pytest.mark.parametrize("kind", DISKS)
def test_a_full_disk_is_told_and_the_former_days_stay(tmp_path, said, kind):
    with small_disk(kind, tmp_path / "disk", kilobytes=4096, most=64) as disk:
        files = KeptDaysFiles(disk.folder, said.append)
        files.write(days())
        with disk.full():
            files.write(days(count=20_000))
        assert files.read(RULES) == days()
    (told,) = said
    assert "cannot be written" in told and "make room" in told
