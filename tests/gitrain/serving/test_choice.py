"""ONNX serves where it is equal, and nowhere else."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import numpy_helper
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tests.gitrain.serving.forms import (
    CONTRACT,
    EQUAL,
    FALLS_BACK,
    HOLDOUT,
    TRAINING,
    fitted,
    labels,
    ordinal,
    pipeline,
)
from tests.gitrain.training.generated import COLUMNS

from gitrain.errors import ModelError
from gitrain.integrations.onnx.converter import OnnxConverter
from gitrain.online.columns import columns_of
from gitrain.serving.choice import Choice, ModelConverter, choose_form
from gitrain.training.matrix import feature_matrix

pytestmark = [
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer"),
    pytest.mark.filterwarnings("ignore:Found unknown categories"),
]
SETTINGS: dict[str, Any] = {"tolerance": 1e-6, "threshold": 0.5, "progress": lambda line: None}


def choose(name: str, converter: ModelConverter | None = None, **options: Any) -> Choice:
    return choose_form(
        fitted(name), HOLDOUT, CONTRACT, COLUMNS, converter or OnnxConverter(), **{**SETTINGS, **options}
    )


@pytest.mark.parametrize("name", EQUAL)
def test_what_is_equal_serves_in_onnx(name: str):
    found = choose(name)

    assert found.converted is not None, found.comparison.reason
    assert found.comparison.equal
    parity = found.comparison.parity
    # Computed in the same precision: what is left is the order of sums.
    assert parity.largest_difference == 1e-12
    assert (parity.holdout_rows, parity.flipped_decisions) == (HOLDOUT.height, 0)
    assert parity.adversarial_rows >= 2000
    assert found.comparison.reason.startswith("equal to the judged model within 1e-06 on 500 rows of the holdout and ")


@pytest.mark.parametrize(("name", "words"), [(name, words) for name, (_, words) in FALLS_BACK.items()])
def test_what_is_not_equal_serves_as_it_was_judged(name: str, words: str):
    found = choose(name)

    assert found.converted is None
    assert not found.comparison.equal
    assert words in found.comparison.reason


@pytest.mark.parametrize("name", ["categories native to boosting", "isotonic calibration of boosting"])
def test_these_are_wrong_without_a_word(name: str):
    """Converted, loaded and run without an error, and wrong by far: nothing but the comparison can tell."""
    converter = OnnxConverter()
    content = converter.convert(fitted(name), COLUMNS, way="single", never_null=())
    converter.load(content, name="wrong")

    parity = choose(name).comparison.parity

    assert parity.largest_difference is not None
    assert parity.largest_difference > 0.1
    assert parity.flipped_decisions is not None
    assert parity.flipped_decisions > 100


def test_single_precision_alone_would_not_do():
    """Rounding a threshold moves the rows that stand at it: only rows that are made for it show that."""
    found = choose("ready-made boosting", Ways(("single",)))

    assert found.converted is None
    assert "made-up row" in found.comparison.reason


def test_a_wide_tolerance_is_no_licence():
    found = choose("categories native to boosting", tolerance=0.009)
    assert found.converted is None


def test_equal_arguments_give_equal_choices():
    assert choose("ready-made boosting") == choose("ready-made boosting")
    assert choose("a dropped category") == choose("a dropped category")


# --- a converted model with one mistake --------------------------------------------------------------------------


@dataclass
class Ways:
    """Some of the ways to convert, and what befalls the graphs on the way."""

    ways: tuple[str, ...] = ("double",)
    spoil: Callable[[onnx.ModelProto], None] = lambda model: None
    asked: list[str] = field(default_factory=list)

    def convert(self, estimator: Any, columns: Any, *, way: str, never_null: Any) -> bytes:
        self.asked.append(way)
        model = onnx.load_from_string(OnnxConverter().convert(estimator, columns, way=way, never_null=never_null))
        self.spoil(model)
        return model.SerializeToString()

    def load(self, content: bytes, *, name: str) -> Any:
        return OnnxConverter().load(content, name=name)


def attribute(model: onnx.ModelProto, name: str) -> onnx.AttributeProto:
    (found,) = [each for node in model.graph.node for each in node.attribute if each.name == name]
    return found


def moved(name: str, number: int, change: Callable[[float], float]) -> Callable[[onnx.ModelProto], None]:
    def spoil(model: onnx.ModelProto) -> None:
        tensor = attribute(model, name).t
        values = numpy_helper.to_array(tensor).copy()
        values[number] = change(values[number])
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    return spoil


def flipped_missing(model: onnx.ModelProto) -> None:
    attribute(model, "nodes_missing_value_tracks_true").ints[0] ^= 1


def another_code(model: onnx.ModelProto) -> None:
    attribute(model, "values_floats").floats[1] = 2.0


def null_as_unknown(model: onnx.ModelProto) -> None:
    attribute(model, "keys_strings").strings[4] = b"nobody"


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(
            moved("nodes_splits", 0, lambda value: float(np.nextafter(value, np.inf))), id="a root by one bit"
        ),
        pytest.param(moved("nodes_splits", 0, lambda value: float(np.float32(value))), id="a root in 32 bits"),
        pytest.param(moved("nodes_splits", 25, lambda value: value + 0.5), id="a threshold"),
        pytest.param(moved("leaf_weights", 30, lambda value: value + 1e-3), id="a leaf"),
        pytest.param(flipped_missing, id="the side of missing values"),
        pytest.param(another_code, id="the code of a category"),
        pytest.param(null_as_unknown, id="null taken for an unknown category"),
    ],
)
def test_one_wrong_number_is_found(spoil: Callable[[onnx.ModelProto], None]):
    assert choose("ready-made boosting", Ways()).converted is not None

    found = choose("ready-made boosting", Ways(spoil=spoil))

    assert found.converted is None
    assert "apart, beyond 1e-06" in found.comparison.reason


def test_the_ways_are_tried_in_order_up_to_the_first_that_is_equal():
    ways = Ways(("double", "single"))
    choose("ready-made logistic regression", ways)
    assert ways.asked == ["double"]

    ways = Ways(("double", "single"))
    choose("neighbours", ways)
    assert ways.asked == ["double", "single"]


def test_a_model_that_does_not_load_is_not_equal():
    def cut(model: onnx.ModelProto) -> None:
        del model.graph.node[:]

    found = choose("ready-made boosting", Ways(spoil=cut))

    assert found.converted is None
    assert "no readable ONNX model" in found.comparison.reason
    assert found.comparison.parity.largest_difference is None


def test_a_judged_model_that_cannot_score_the_holdout_is_an_error():
    strangers = HOLDOUT.with_columns(carrier=HOLDOUT["carrier"] + "?")
    with pytest.raises(ModelError, match="cannot score 500 rows"):
        choose_form(fitted("an encoder that raises"), strangers, CONTRACT, COLUMNS, OnnxConverter(), **SETTINGS)


def test_what_the_judged_model_cannot_do_without_its_conversion_refuses_too():
    """Without an imputer a linear model raises where nothing is known; ONNX Runtime would give NaN, or some number."""
    training, holdout = (rows.with_columns(pl.col("gusts").fill_null(1.0)) for rows in (TRAINING, HOLDOUT))
    model = pipeline(LogisticRegression(), ordinal(), StandardScaler())
    model.fit(feature_matrix(training, COLUMNS), labels(training))
    contract = replace(CONTRACT, schema=CONTRACT.schema.update_column("gusts", nullable=False))

    found = choose_form(model, holdout, contract, COLUMNS, OnnxConverter(), **SETTINGS)

    assert found.converted is not None, found.comparison.reason
    rows = columns_of(HOLDOUT.filter(pl.col("gusts").is_null()).head(1), COLUMNS)
    with pytest.raises(ModelError, match="nothing is known of 'gusts'"):
        OnnxConverter().load(found.converted, name="linear").score(rows)
