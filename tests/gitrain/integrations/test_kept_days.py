"""Files of days that have counted: damaged, unreadable, cut short while they are written, of other rules and logs."""

import multiprocessing
import os
import signal
from pathlib import Path
from unittest import mock

import pytest
from tests.gitrain.full_disk import DISKS, small_disk

from gitrain.integrations.kept_days import KeptDaysFiles
from gitrain.monitoring.kept_days import KeptDays, KeptPart

RULES, OTHERS = (f"sha256:{digit * 64}" for digit in "ab")


def days(rules: str = RULES, *, count: int = 2, release: str = "1.0.0", log: Path | None = None) -> KeptDays:
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
    return KeptDays(schema_version=1, rules=rules, parts=(part,), log=str(log or ""))


@pytest.fixture
def said() -> list[str]:
    return []


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1.8e9

    def __call__(self) -> float:
        return self.now

    def later(self, days: float) -> None:
        self.now += days * 86_400


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def files(tmp_path, said, log, clock) -> KeptDaysFiles:
    return KeptDaysFiles(tmp_path / "monitoring/test", said.append, log=log, clock=clock)


def names(tmp_path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "monitoring/test").iterdir())


def test_what_was_written_is_read_to_the_last_bit_and_rules_do_not_mix(files, said, tmp_path, log):
    assert files.read(RULES) == KeptDays(schema_version=1, rules=RULES)

    files.write(days())
    files.write(days(OTHERS, release="2.0.0"))

    assert files.read(RULES) == days(log=log)
    assert files.read(OTHERS) == days(OTHERS, release="2.0.0", log=log)
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
def test_a_damaged_file_is_named_and_made_anew(files, said, tmp_path, log, damage):
    files.write(days())
    (path,) = (tmp_path / "monitoring/test").iterdir()
    path.write_bytes(damage(path.read_bytes()))

    assert files.read(RULES) == KeptDays(schema_version=1, rules=RULES)
    (told,) = said
    assert str(path) in told and "is damaged" in told
    files.write(days(count=1))
    assert files.read(RULES) == days(count=1, log=log)
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


def test_a_process_that_ends_while_it_writes_leaves_the_former_days(files, tmp_path, log, monkeypatch):
    files.write(days())

    def ends(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", ends)
        with pytest.raises(KeyboardInterrupt):
            files.write(days(count=1))

    assert files.read(RULES) == days(log=log)
    assert len(list((tmp_path / "monitoring/test").iterdir())) == 1


@pytest.mark.parametrize("kind", DISKS)
def test_a_full_disk_is_told_and_the_former_days_stay(tmp_path, said, kind):
    with small_disk(kind, tmp_path / "disk", kilobytes=4096, most=64) as disk:
        files = KeptDaysFiles(disk.folder, said.append, log=tmp_path)
        files.write(days())
        with disk.full():
            files.write(days(count=20_000))
            files.tidy({"1.0.0"})
        assert files.read(RULES) == days(log=tmp_path)
    (told,) = said
    assert "cannot be written" in told and "make room" in told


def test_a_look_at_another_log_reads_none_of_it_and_says_so_once(files, said, tmp_path, log):
    files.write(days())
    elsewhere = KeptDaysFiles(tmp_path / "monitoring/test", said.append, log=tmp_path / "copied")

    assert elsewhere.read(RULES) == KeptDays(schema_version=1, rules=RULES)
    (told,) = said
    assert f"those of {log}" in told and f"a look at {tmp_path / 'copied'}: it begins a sequence of its own" in told
    elsewhere.write(days(count=5))
    assert elsewhere.read(RULES).parts == days(count=5).parts
    assert files.read(RULES) == days(log=log)
    assert len(said) == 1
    assert elsewhere.read(OTHERS).parts == () and len(said) == 1, "of other rules there is nothing of either"


def test_a_log_that_has_moved_goes_on_once_its_file_is_renamed(files, said, tmp_path):
    files.write(days())
    moved = KeptDaysFiles(tmp_path / "monitoring/test", said.append, log=tmp_path / "moved")
    moved.read(RULES)

    old, _, new = said[0].rpartition("rename ")[2].partition(" to ")
    Path(old).rename(Path(old).parent / new)

    assert moved.read(RULES).parts == days().parts
    assert len(said) == 1


def test_days_under_the_former_name_are_told_once_and_go_on_once_they_are_renamed(files, said, tmp_path):
    folder = tmp_path / "monitoring/test"
    folder.mkdir(parents=True)
    former = folder / f"days-{RULES[7:23]}.json"
    former.write_text(days().model_dump_json(exclude={"log"}))
    (folder / f"days-{OTHERS[7:23]}.json").write_text("{")

    assert files.read(RULES).parts == ()
    (told,) = said
    old, _, new = told.rpartition("rename ")[2].partition(" to ")
    assert Path(old) == former
    former.rename(folder / new)
    assert files.read(RULES).parts == days().parts
    assert files.read(OTHERS).parts == (), "what is damaged is worth no word"
    former.write_text("{}")
    assert files.read(RULES).parts == days().parts and len(said) == 1


def test_one_log_by_two_names_is_one(files, tmp_path, said, log):
    log.mkdir()
    (tmp_path / "link").symlink_to(log)
    files.write(days())

    assert KeptDaysFiles(tmp_path / "monitoring/test", said.append, log=tmp_path / "link").read(RULES) == days(log=log)


def test_what_nobody_reads_any_more_goes_after_thirty_days_without_use(files, tmp_path, clock):
    files.write(days(OTHERS, release="0.9.0"))
    files.write(days(release="1.0.0"))
    former = names(tmp_path)
    files.tidy({"0.9.0", "1.0.0"})
    for _ in range(40):
        clock.later(1)
        files.tidy({"0.9.0", "1.0.0"})
    assert names(tmp_path) == former, "as long as its release is in the log"
    clock.later(1)
    files.tidy({"1.0.0"})
    assert names(tmp_path) == former, "the log was away for a day"
    clock.later(28)
    files.tidy({"0.9.0", "1.0.0"})
    for _ in range(29):
        clock.later(1)
        files.tidy({"1.0.0"})
    assert names(tmp_path) == former, "as long as it may come back"
    clock.later(2)
    files.tidy({"1.0.0"})
    (left,) = names(tmp_path)
    assert files.read(RULES).parts == days().parts and RULES[7:23] in left


def test_a_look_after_months_takes_nothing_that_is_of_use(files, tmp_path, clock):
    files.write(days())
    files.tidy({"1.0.0"})
    clock.later(400)
    files.tidy({"1.0.0", "2.0.0"})

    assert files.read(RULES).parts == days().parts


def test_days_of_another_log_stay_for_a_year(files, tmp_path, clock, said):
    other = KeptDaysFiles(tmp_path / "monitoring/test", said.append, log=tmp_path / "other", clock=clock)
    other.write(days())
    other.tidy({"1.0.0"})
    files.write(days())
    for after, count in ((31, 2), (330, 2), (5, 1)):
        clock.later(after)
        files.tidy({"1.0.0"})
        assert len(names(tmp_path)) == count


@pytest.mark.parametrize("content", [b"", b"\xff", b'{"schema_version": 1}'])
def test_what_is_damaged_goes_as_well_and_what_cannot_be_read_stays(files, tmp_path, clock, content):
    files.write(days())
    (name,) = names(tmp_path)
    path = tmp_path / "monitoring/test" / name
    path.write_bytes(content)
    os.utime(path, (clock(), clock()))

    files.tidy({"1.0.0"})
    clock.later(29)
    files.tidy({"1.0.0"})
    assert names(tmp_path) == [name]
    clock.later(2)
    files.tidy({"1.0.0"})
    assert names(tmp_path) == []
    path.mkdir()
    clock.later(1000)
    files.tidy({"1.0.0"})
    assert names(tmp_path) == [name]


def written_and_killed(folder: Path, log: Path) -> None:
    """Writes, and is killed right before the file takes its place."""

    def killed(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with mock.patch("os.replace", killed):
        KeptDaysFiles(folder, print, log=log).write(days(count=1))


def test_what_a_killed_run_left_half_written_goes_after_a_day(files, tmp_path, log, clock):
    files.write(days())
    before = names(tmp_path)
    run = multiprocessing.get_context("spawn").Process(
        target=written_and_killed, args=(tmp_path / "monitoring/test", log)
    )
    run.start()
    run.join()
    assert run.exitcode == -signal.SIGKILL
    (half,) = set(names(tmp_path)) - set(before)
    part = tmp_path / "monitoring/test" / half
    os.utime(part, (clock(), clock()))
    # Copies of log files are another's to sweep.
    (part.parent / ".predictions-1.kept.x.part").touch()

    clock.later(0.9)
    files.tidy({"1.0.0"})
    assert half in names(tmp_path), "somebody may be writing it"
    clock.later(0.2)
    files.tidy({"1.0.0"})
    assert names(tmp_path) == [".predictions-1.kept.x.part", *before]
    assert files.read(RULES) == days(log=log)


def test_where_nothing_is_kept_there_is_nothing_to_tidy(files, tmp_path):
    files.tidy({"1.0.0"})

    assert not (tmp_path / "monitoring").exists()
