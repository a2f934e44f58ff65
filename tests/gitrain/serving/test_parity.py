from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pytest

from gitrain.errors import ModelError
from gitrain.serving.manifest import Parity
from gitrain.serving.parity import JudgedRows, compare
from gitrain.training.estimators import FeatureColumns

COLUMNS = FeatureColumns(names=("x",))


@dataclass
class Shifted:
    """Gives x, and something more: to rows among others, or to a row alone."""

    among: float = 0.0
    alone: float = 0.0
    format: Any = "onnx"
    columns: FeatureColumns = COLUMNS

    def score(self, columns: Any) -> Any:
        x = columns["x"]
        return x + (self.alone if len(x) == 1 else self.among)


def judged(kind: str, values: list[float]) -> JudgedRows:
    return JudgedRows(kind=kind, matrix=pl.DataFrame({"x": values}), scores=np.array(values))


HOLDOUT = judged("row", [0.1, 0.499, 0.9])
MADE_UP = judged("made-up row", [0.0, 0.5])


def run(model: Any, tolerance: float = 1e-6, threshold: float = 0.5) -> Any:
    return compare(
        lambda: model, COLUMNS, holdout=HOLDOUT, adversarial=MADE_UP, tolerance=tolerance, threshold=threshold
    )


def test_equal_to_the_last_bit():
    found = run(Shifted())
    assert found.equal
    assert found.parity == Parity(
        tolerance=1e-6, holdout_rows=3, adversarial_rows=2, largest_difference=1e-12, flipped_decisions=0
    )


@pytest.mark.parametrize("shift", [{"among": 0.003}, {"alone": 0.003}, {"among": 0.003, "alone": -0.003}])
def test_a_difference_counts_wherever_it_shows(shift: dict[str, Any]):
    found = run(Shifted(**shift))
    assert not found.equal
    assert found.parity.largest_difference == pytest.approx(0.003, rel=0.04)
    assert "0.003 apart, beyond 1e-06" in found.reason


def test_decisions_that_flip_are_counted_once_each():
    assert run(Shifted(among=0.002, alone=0.002)).parity.flipped_decisions == 1
    assert run(Shifted(among=-0.002, alone=-0.002)).parity.flipped_decisions == 1
    assert run(Shifted(among=0.002, alone=-0.002)).parity.flipped_decisions == 2
    # Within the tolerance they may flip: the score lies that close to the threshold.
    found = run(Shifted(among=-0.002, alone=-0.002), tolerance=0.005)
    assert (found.equal, found.parity.flipped_decisions) == (True, 1)


def test_the_tolerance_itself_is_equal():
    assert run(Shifted(among=0.25), tolerance=0.0099).equal is False
    model = Shifted(among=2**-10, alone=2**-10)
    assert run(model, tolerance=2**-10 + 1e-9).equal
    assert not run(model, tolerance=2**-10 - 1e-9).equal


@pytest.mark.parametrize(
    ("shift", "reported"), [(1e-16, 1e-12), (1.01e-7, 1.1e-7), (2.3e-7, 2.3e-7), (0.00991, 0.01), (0.0999, 0.1)]
)
def test_what_is_reported_is_rounded_up_and_never_down(shift: float, reported: float):
    exact = JudgedRows(kind="row", matrix=pl.DataFrame({"x": [0.0]}), scores=np.array([0.0]))
    found = compare(
        lambda: Shifted(among=shift, alone=shift),
        COLUMNS,
        holdout=exact,
        adversarial=exact,
        tolerance=1e-6,
        threshold=0.5,
    )
    assert found.parity.largest_difference == reported
    assert found.parity.largest_difference >= shift


def test_the_row_that_is_furthest_is_named():
    class OneWrong(Shifted):
        def score(self, columns: Any) -> Any:
            return np.where(columns["x"] == 0.9, 0.2, columns["x"])

    assert run(OneWrong()).reason == (
        "the converted model gives 0.2 for row 2 (x=0.9), judged 0.9: 0.7 apart, beyond 1e-06, "
        "and 1 of 5 decisions differ"
    )


def test_a_model_that_cannot_be_made_or_does_not_run_is_not_equal():
    def refuse() -> Any:
        raise ModelError("it has no equivalent", fix="none.")

    class Broken(Shifted):
        def score(self, columns: Any) -> Any:
            raise ModelError("it gives NaN", fix="none.")

    for convert, words in ((refuse, "it has no equivalent"), (Broken, "it gives NaN")):
        found = compare(convert, COLUMNS, holdout=HOLDOUT, adversarial=MADE_UP, tolerance=1e-6, threshold=0.5)
        assert (found.equal, found.reason) == (False, words)
        assert found.parity == Parity(tolerance=1e-6, holdout_rows=3, adversarial_rows=2)
