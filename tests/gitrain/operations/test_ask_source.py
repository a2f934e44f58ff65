"""What a source says, and what it comes to: each of people's ways of saying that there is nothing, and of failing."""

from dataclasses import replace

import polars as pl
import pytest
from tests.gitrain.retraining import parcels_project

from gitrain.errors import DataError, IntegrationError
from gitrain.operations.ask_source import AskedBatch, ask_source

ROWS = pl.DataFrame({"row": [1]})


class Source:
    def __init__(self, answer):
        self._answer = answer

    def fingerprint(self, batch):
        return "0"

    def read(self, batch):
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


def asked(answer) -> AskedBatch:
    return ask_source(replace(parcels_project().tables[0], source=Source(answer)), "2024-05")


@pytest.mark.parametrize(
    ("answer", "absent"),
    [
        (DataError("no month 2024-05", fix="wait."), "no month 2024-05"),
        (FileNotFoundError(2, "No such file", "may.csv"), "FileNotFoundError: [Errno 2] No such file: 'may.csv'"),
    ],
)
def test_what_is_not_there(answer, absent):
    assert asked(answer) == AskedBatch(absent=absent)


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (KeyError("depot"), "KeyError: 'depot'"),
        (pl.exceptions.ColumnNotFoundError("depot"), "ColumnNotFoundError: depot"),
        (ConnectionRefusedError(111, "refused"), "ConnectionRefusedError: [Errno 111] refused"),
        (IntegrationError("503", fix="wait."), "IntegrationError: 503"),
        (ValueError("a\n::error::b"), "ValueError: a\\n::error::b"),
        ({"row": [1]}, "it gave dict, not a Polars DataFrame"),
        (None, "it gave NoneType, not a Polars DataFrame"),
    ],
)
def test_what_fails(answer, failed):
    assert asked(answer) == AskedBatch(failed=failed)


def test_what_is_there():
    found = asked(ROWS)
    assert (found.absent, found.failed) == (None, None)
    assert found.frame is ROWS


def test_who_wants_to_end_the_program_ends_it():
    with pytest.raises(KeyboardInterrupt):
        asked(KeyboardInterrupt())
