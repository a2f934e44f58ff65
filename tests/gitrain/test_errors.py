import inspect
import pickle

import pytest

import gitrain.errors
from gitrain.errors import DataError, GitrainError, SettingsError, UsageError

ERRORS = [
    value for value in vars(gitrain.errors).values() if inspect.isclass(value) and issubclass(value, GitrainError)
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_stands_in_the_tree_of_the_docstring(error):
    assert error.__name__ in gitrain.errors.__doc__
    assert error.__name__ in gitrain.errors.__all__


def test_the_message_says_what_is_wrong_and_what_to_do():
    error = DataError("table 'x' is empty", fix="fill it.")

    assert str(error) == "table 'x' is empty\n  to mend it: fill it."


def test_misuse_and_breakage_have_their_own_exit_codes():
    assert UsageError("w", fix="f").exit_code == 2
    assert SettingsError("w", fix="f").exit_code == 2
    assert DataError("w", fix="f").exit_code == 3


def test_an_error_survives_the_trip_between_processes():
    error = pickle.loads(pickle.dumps(SettingsError("what", fix="fix")))  # noqa: S301

    assert (type(error), error.what, error.fix) == (SettingsError, "what", "fix")
