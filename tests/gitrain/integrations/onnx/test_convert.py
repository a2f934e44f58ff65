"""What is written is the same in every process, and names of columns mean nothing to it."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import onnx
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from tests.gitrain.serving.forms import HOLDOUT, fitted, labels, one_hot, pipeline
from tests.gitrain.training.generated import COLUMNS

from gitrain.errors import ModelError
from gitrain.integrations.onnx.convert import Precision, convert
from gitrain.integrations.onnx.notes import CATEGORIES, NUMBERS, SCORE
from gitrain.integrations.onnx.session import OnnxModel
from gitrain.online.columns import columns_of
from gitrain.training.estimators import FeatureColumns, hist_gradient_boosting
from gitrain.training.matrix import feature_matrix, true_probabilities

_HASH = """
import hashlib
from tests.gitrain.serving.forms import fitted
from tests.gitrain.training.generated import COLUMNS
from gitrain.integrations.onnx.convert import convert
for name in ("ready-made boosting", "ready-made logistic regression"):
    for precision in ("double", "single"):
        print(hashlib.sha256(convert(fitted(name), COLUMNS, precision=precision)).hexdigest())
"""


def test_every_process_writes_the_same_bytes():
    printed = []
    for seed in ("1", "4242"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _HASH], env=environment, capture_output=True, text=True, check=True
        )
        printed.append(done.stdout.split())

    assert printed[0] == printed[1]
    assert len(set(printed[0])) == 4
    again = convert(fitted("ready-made boosting"), COLUMNS, precision="double")
    assert hashlib.sha256(again).hexdigest() == printed[0][0]


@pytest.mark.parametrize("precision", ["double", "single"])
def test_the_graph_goes_from_two_matrices_to_one_vector(precision: Precision):
    model = onnx.load_from_string(convert(fitted("ready-made boosting"), COLUMNS, precision=precision))

    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {NUMBERS: [0, 4], CATEGORIES: [0, 1], SCORE: [0]}
    # Nothing that is computed and thrown away, and nothing of who made it and when.
    assert not {"ArgMax", "ZipMap"} & {node.op_type for node in model.graph.node}
    assert (model.producer_name, model.producer_version, model.doc_string, model.graph.doc_string) == ("", "", "", "")


def test_the_estimator_stays_as_it_was():
    model = fitted("ready-made logistic regression")
    before = model.predict_proba(feature_matrix(HOLDOUT, COLUMNS))
    convert(model, COLUMNS)
    encoder = model.named_steps["columns"].named_transformers_["categorical"]
    assert encoder.categories_[0][-1] is None
    assert np.array_equal(model.predict_proba(feature_matrix(HOLDOUT, COLUMNS)), before)


def test_columns_may_have_any_name():
    """Also those of the graph's own inputs and output, and such as are no identifiers."""
    names = {"slope": NUMBERS, "carrier": CATEGORIES, "gusts": SCORE, "noise": "a b/ü", "flag": "c0"}
    columns = FeatureColumns(names=tuple(names.values()), categorical=(CATEGORIES,))
    rows = HOLDOUT.rename(names)
    matrix = feature_matrix(rows, columns)
    model = hist_gradient_boosting({"max_iter": 5}, columns, 0).fit(matrix, labels(rows))

    served = OnnxModel(convert(model, columns), name="named")

    difference = served.score(columns_of(matrix, columns)) - true_probabilities(model.predict_proba(matrix))
    assert np.abs(difference).max() < 1e-12


def test_a_column_that_the_model_ignores_is_no_input():
    served = OnnxModel(convert(fitted("boosting of numbers"), COLUMNS), name="numbers")
    rows = columns_of(HOLDOUT.head(3), COLUMNS)
    rows["carrier"][:] = ["anything", None, ""]
    assert served.score(rows).shape == (3,)


def test_a_category_that_is_our_null_cannot_be_told_from_it():
    rows = HOLDOUT.with_columns(carrier=pl.lit("\x00"))
    matrix = feature_matrix(rows.with_columns(pl.col("gusts").fill_null(0.0)), COLUMNS)
    model = pipeline(LogisticRegression(), one_hot(), "passthrough").fit(matrix, labels(rows))
    with pytest.raises(ModelError, match="stands for null, is a category"):
        convert(model, COLUMNS)


@pytest.mark.parametrize("precision", ["double", "single"])
def test_what_has_no_equivalent_is_an_error_that_is_the_same_each_time(precision: Precision):
    said = []
    for _ in range(2):
        with pytest.raises(ModelError, match="cannot be converted to ONNX") as caught:
            convert(fitted("a function of the project's own"), COLUMNS, precision=precision)
        said.append(caught.value.what)
    assert said[0] == said[1]
    assert "0x" not in said[0]
