"""`make check`: every step runs, a failure is shown and decides, what is missing is said."""

import sys
from collections.abc import Sequence

import pytest

from tools.check import STEPS, LeftOut, Step, main, run

_PASSES = Step("good", "passes", lambda: [[sys.executable, "-c", "print('quiet')"]])
_FAILS = Step("bad", "fails", lambda: [[sys.executable, "-c", "print('the reason'); raise SystemExit(3)"]])
_SILENT = Step("mute", "fails without a word", lambda: [[sys.executable, "-c", "raise SystemExit(3)"]])


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
