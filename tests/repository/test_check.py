"""`make check`: every step runs, a failure is shown and decides, what is missing is said."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools.check import STEPS, LeftOut, Step, main, run

_PASSES = Step("good", "passes", lambda: [[sys.executable, "-c", "print('quiet')"]])
_FAILS = Step("bad", "fails", lambda: [[sys.executable, "-c", "print('the reason'); raise SystemExit(3)"]])
_SILENT = Step("mute", "fails without a word", lambda: [[sys.executable, "-c", "raise SystemExit(3)"]])
# The one ends when the file is there, or fails otherwise after a minute; the other makes it.
_WAIT = """\
import pathlib, sys, time
end = time.monotonic() + 60
while not pathlib.Path(sys.argv[1]).exists():
    if time.monotonic() > end:
        raise SystemExit("never made")
    time.sleep(0.01)
raise SystemExit("seen")
"""
_MAKE = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch(); raise SystemExit('made')"


def _missing() -> Sequence[Sequence[str]]:
    raise LeftOut("install it")


_ABSENT = Step("absent", "cannot run", _missing)


def test_all_steps_run_and_one_failure_decides(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([_FAILS, _SILENT, _PASSES], strict=False) == 1
    shown = capsys.readouterr().out
    assert "the reason" in shown
    assert "exit code 3" in shown
    assert "good        ok" in shown
    assert "quiet" not in shown
    assert shown.endswith("failed: bad, mute\n")


def test_two_run_at_the_same_time_and_what_failed_is_told_in_the_order_of_the_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first cannot end before the second has."""
    waits = Step("waits", "for the other", lambda: [[sys.executable, "-c", _WAIT, str(tmp_path / "there")]])
    makes = Step("makes", "a file", lambda: [[sys.executable, "-c", _MAKE, str(tmp_path / "there")]])
    assert run([waits, makes], strict=False) == 1
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown] == ["makes", "made", "waits", "seen", "failed:"]
    assert shown[-1] == "failed: waits, makes"


def test_what_is_left_out_is_named_and_fails_where_it_must_be_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([_ABSENT, _PASSES], strict=False) == 0
    assert "left out: absent: install it" in capsys.readouterr().out
    assert run([_ABSENT, _PASSES], strict=True) == 1


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "speling"]) == 2
    assert "speling" in capsys.readouterr().err


def test_names_are_unique() -> None:
    names = [step.name for step in STEPS]
    assert len(names) == len(set(names))
