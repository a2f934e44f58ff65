"""A served model gives probabilities or says what is wrong; a damaged file never gets that far."""

import contextlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from tests.gitrain.serving.forms import HOLDOUT, fitted
from tests.gitrain.training.generated import COLUMNS

from gitrain.errors import ModelError
from gitrain.integrations.onnx.convert import convert
from gitrain.integrations.onnx.notes import NOTES
from gitrain.integrations.onnx.session import OnnxModel
from gitrain.online.columns import columns_of, frame_of
from gitrain.training.matrix import true_probabilities

NAME = "models/serving/model.onnx"
BOOSTING = fitted("ready-made boosting")
CONTENT = convert(BOOSTING, COLUMNS)
MODEL = OnnxModel(CONTENT, name=NAME)
ROWS = columns_of(HOLDOUT, COLUMNS)


def judged(rows):
    return true_probabilities(BOOSTING.predict_proba(frame_of(rows, COLUMNS)))


def test_it_scores_as_the_judged_model():
    assert (MODEL.format, MODEL.columns) == ("onnx", COLUMNS)
    assert np.abs(MODEL.score(ROWS) - judged(ROWS)).max() < 1e-12
    # More columns are passed over.
    assert np.array_equal(MODEL.score({**ROWS, "more": ROWS["slope"]}), MODEL.score(ROWS))


@given(
    st.lists(
        st.tuples(
            st.floats(allow_infinity=False, width=64),
            st.one_of(st.none(), st.sampled_from(["C0", "C3", "\x00", ""]), st.text(max_size=8)),
            st.floats(min_value=0, allow_infinity=False) | st.just(float("nan")),
            st.floats(allow_infinity=False),
            st.sampled_from([0.0, 1.0, float("nan"), -0.0]),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_any_row_scores_as_the_judged_model_alone_and_among_others(drawn):
    parts = list(zip(*drawn, strict=True))
    rows = {name: np.array(parts[at], dtype=float) for at, name in enumerate(COLUMNS.names) if name != "carrier"}
    rows["carrier"] = np.array([*parts[1], None], dtype=object)[:-1]
    together = MODEL.score(rows)
    assert np.abs(together - judged(rows)).max() < 1e-12
    alone = [MODEL.score({name: values[at : at + 1] for name, values in rows.items()})[0] for at in range(len(drawn))]
    assert np.abs(together - alone).max() < 1e-12


def test_a_text_that_is_our_null_is_a_stranger_and_no_null():
    rows = {name: values[:1].repeat(3) for name, values in ROWS.items()}
    rows["carrier"] = np.array([None, "\x00", "nobody"], dtype=object)
    null, stand_in, stranger = MODEL.score(rows)
    assert stand_in == stranger != null


def test_no_rows_give_no_scores():
    assert MODEL.score({name: values[:0] for name, values in ROWS.items()}).shape == (0,)


def test_threads_give_the_same_scores():
    alone = MODEL.score(ROWS)
    with ThreadPoolExecutor(8) as pool:
        for scores in pool.map(lambda _: MODEL.score(ROWS), range(40)):
            assert np.array_equal(scores, alone)
    many = OnnxModel(CONTENT, name=NAME, threads=2)
    assert np.abs(many.score(ROWS) - alone).max() < 1e-12


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: {name: values for name, values in rows.items() if name != "gusts"}, "no column 'gusts'"),
        (lambda rows: {**rows, "gusts": rows["gusts"][:2]}, "2 and 500 rows"),
        (lambda rows: {**rows, "carrier": np.array(["\ud800"] * 500, dtype=object)}, "cannot score 500 rows"),
    ],
)
def test_rows_that_cannot_be_scored(change, words):
    with pytest.raises(ModelError, match=words):
        MODEL.score(change(ROWS))


def one_constant(value: float) -> bytes:
    """The notes of a real model over a graph that says one number."""
    node = helper.make_node(
        "ConstantOfShape",
        ["shape"],
        ["score"],
        value=helper.make_tensor("value", onnx.TensorProto.DOUBLE, [1], [value]),
    )
    shape = [
        helper.make_node("Shape", ["numbers"], ["both"]),
        helper.make_node("Slice", ["both", "start", "end"], ["shape"]),
    ]
    graph = helper.make_graph(
        [*shape, node],
        "constant",
        [helper.make_tensor_value_info("numbers", onnx.TensorProto.DOUBLE, [None, 4])],
        [helper.make_tensor_value_info("score", onnx.TensorProto.DOUBLE, [None])],
        [
            helper.make_tensor("start", onnx.TensorProto.INT64, [1], [0]),
            helper.make_tensor("end", onnx.TensorProto.INT64, [1], [1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    model.metadata_props.extend(onnx.load_from_string(CONTENT).metadata_props)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("rows", [2, 500])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e-9, 1 + 1e-9])
def test_what_is_no_probability_is_never_given(value: float, rows: int):
    model = OnnxModel(one_constant(value), name=NAME)
    with pytest.raises(ModelError, match="as the probability of row 0"):
        model.score({name: values[:rows] for name, values in ROWS.items()})


def test_the_ends_of_probability_are_given():
    for value in (0.0, 1.0):
        assert set(OnnxModel(one_constant(value), name=NAME).score(ROWS)) == {value}


def without_notes(content: bytes) -> bytes:
    model = onnx.load_from_string(content)
    del model.metadata_props[:]
    return bytes(model.SerializeToString())


def other_notes(content: bytes) -> bytes:
    model = onnx.load_from_string(content)
    helper.set_model_props(model, {NOTES: '{"schema_version": 1, "columns": []}'})
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"not a model",
        lambda content: content[: len(content) // 2],
        without_notes,
        other_notes,
    ],
    ids=["empty", "text", "cut", "without notes", "notes of no columns"],
)
def test_a_damaged_file_is_refused(damage):
    with pytest.raises(ModelError, match=rf"{NAME} is no readable ONNX model") as caught:
        OnnxModel(damage(CONTENT), name=NAME)
    assert "do not trust it" in caught.value.fix


@given(st.integers(0, len(CONTENT) - 1), st.integers(0, 255))
def test_a_changed_byte_scores_or_is_refused(at: int, byte: int):
    """Nothing crashes; what it then says is nobody's business, for the digest is compared first."""
    content = bytearray(CONTENT)
    content[at] = byte
    with contextlib.suppress(ModelError):
        OnnxModel(bytes(content), name=NAME).score({name: values[:3] for name, values in ROWS.items()})


def test_the_session_loads_no_scikit_learn():
    program = (
        "import sys; from gitrain.integrations.onnx.session import OnnxModel; "
        "print(sorted({'sklearn', 'skops', 'scipy', 'onnx', 'skl2onnx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    # Nor does it say anything on its own.
    assert done.stderr == ""
