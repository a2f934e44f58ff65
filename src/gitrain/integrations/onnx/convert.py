"""A fitted pipeline of scikit-learn as one ONNX graph: two matrices in, the probability of true out.

Where scikit-learn takes a data frame, the graph takes ``numbers`` (rows, numeric columns) in 64 bits and ``categories``
(rows, categorical columns) as strings: for one row, filling two arrays is several times quicker than naming thirty.
Equal estimators give equal bytes: names are counted, nothing of the process or the clock gets in.
"""

import copy
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import onnx
import skl2onnx
from onnx import TensorProto, helper
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

from gitrain.errors import ModelError
from gitrain.integrations.onnx.exact import CONVERTERS, SHAPES
from gitrain.integrations.onnx.notes import CATEGORIES, NOTES, NULL, NUMBERS, SCORE, GraphNotes
from gitrain.training.estimators import Estimator, FeatureColumns

__all__ = ["Precision", "convert"]

#: In which precision a graph computes: with the converters of `exact`, or with skl2onnx's own.
Precision = Literal["double", "single"]

_NAME = "gitrain"
# Before names of our own, until all are counted: columns may be named anything.
_OURS = "gitrain:"
_ML = "ai.onnx.ml"
# Fixed, so that another version of a library does not change what an estimator becomes. skl2onnx knows no newer ones.
_OPSET, _ML_OPSET = 21, 3
# `exact` writes TreeEnsemble, which came with it; TreeEnsembleClassifier, which skl2onnx writes, went with it.
_EXACT_ML_OPSET = 5
_IR_VERSION = 10
_ADDRESS = re.compile(r"0x[0-9a-f]+|\d{9,}")


def convert(
    estimator: Estimator, columns: FeatureColumns, *, precision: Precision = "double", never_null: tuple[str, ...] = ()
) -> bytes:
    """The ONNX model of a fitted estimator.

    Args:
        estimator: a classifier of two classes, as `gitrain.training.model_format.ModelFormat` loads it; not changed.
        columns: what it takes.
        precision: of the graph.
        never_null: columns that the estimator refuses to score where nothing is known.

    Raises:
        ModelError: it has no equivalent that we know how to make. That it is made says nothing about its being equal.
    """
    notes = GraphNotes(schema_version=1, columns=columns.names, categorical=columns.categorical, never_null=never_null)
    try:
        with warnings.catch_warnings():
            # Of versions and shapes that do not matter here: parity is what judges.
            warnings.simplefilter("ignore")
            model = _converted(_with_null_as_text(estimator), columns, precision)
            graph = _between_matrices(model.graph, columns)
            ml_opset = _EXACT_ML_OPSET if precision == "double" else _ML_OPSET
            model = helper.make_model(
                graph,
                opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_ML, ml_opset)],
                ir_version=_IR_VERSION,
            )
            helper.set_model_props(model, {NOTES: notes.model_dump_json()})
            onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # converters raise what they like: KeyError, AttributeError, RuntimeError, ...
        raise ModelError(
            f"the model cannot be converted to ONNX: {_one_line(error)}",
            fix="nothing need be done: the model is served as scikit-learn has it.",
        ) from error
    return bytes(model.SerializeToString(deterministic=True))


def _with_null_as_text(estimator: Estimator) -> Estimator:
    """A copy whose encoders have a string where they had None among their categories."""
    copied = copy.deepcopy(estimator)
    for encoder in _encoders(copied):
        for number, categories in enumerate(encoder.categories_):
            if categories.dtype != object:
                continue
            if NULL in categories.tolist():
                raise ValueError(f"{NULL!r}, which stands for null, is a category")
            encoder.categories_[number] = np.array(
                [NULL if category is None else category for category in categories.tolist()], dtype=object
            )
    return copied


def _encoders(estimator: object) -> Iterator[Any]:
    """Everything with categories inside an estimator."""
    waiting, seen = [estimator], set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, (str, bytes, int, float, type, np.ndarray)):
            continue
        seen.add(id(value))
        if isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, (list, tuple)):
            waiting.extend(value)
        elif hasattr(value, "__dict__"):
            if isinstance(getattr(value, "categories_", None), list):
                yield value
            waiting.extend(vars(value).values())


def _converted(estimator: Estimator, columns: FeatureColumns, precision: Precision) -> onnx.ModelProto:
    """skl2onnx's graph: one input a column, and all that the graph gives besides the probabilities."""
    number = DoubleTensorType if precision == "double" else FloatTensorType
    inputs = [
        (name, StringTensorType([None, 1]) if name in columns.categorical else number([None, 1]))
        for name in columns.names
    ]
    exact = precision == "double"
    model: onnx.ModelProto = skl2onnx.convert_sklearn(
        estimator,
        name=_NAME,
        initial_types=inputs,
        target_opset={"": _OPSET, _ML: _ML_OPSET},
        options={id(estimator): {"zipmap": False}},
        custom_conversion_functions=CONVERTERS if exact else None,
        custom_shape_calculators=SHAPES if exact else None,
    )
    return model


def _between_matrices(graph: onnx.GraphProto, columns: FeatureColumns) -> onnx.GraphProto:
    """The same graph between two matrices and one vector; what nothing needs is left out."""
    probabilities = graph.output[1]
    if probabilities.type.tensor_type.shape.dim[-1].dim_value != 2:
        raise ValueError("its second output is no pair of probabilities")
    if any(attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute):
        raise ValueError("it holds graphs inside of its graph")
    inputs = dict(zip(columns.names, graph.input, strict=True))
    constants = {constant.name: constant for constant in graph.initializer}
    before: list[onnx.NodeProto] = []
    whole: dict[tuple[str, ...], str] = {}
    given = []
    for matrix, names, kind in (
        (_OURS + NUMBERS, columns.numeric, TensorProto.DOUBLE),
        (_OURS + CATEGORIES, columns.categorical, TensorProto.STRING),
    ):
        if not names:
            continue
        given.append(helper.make_tensor_value_info(matrix, kind, [None, len(names)]))
        value = matrix
        wanted = inputs[names[0]].type.tensor_type.elem_type
        if wanted != kind:
            value = f"{matrix}:narrow"
            before.append(helper.make_node("Cast", [matrix], [value], to=wanted))
        parts = tuple(inputs[name].name for name in names)
        whole[parts] = value
        before.append(helper.make_node("Split", [value], list(parts), axis=1, num_outputs=len(parts)))
    score, place = _OURS + SCORE, f"{_OURS}place"
    constants[place] = helper.make_tensor(place, TensorProto.INT64, [], [1])
    after = [
        helper.make_node("Gather", [probabilities.name, place], [f"{score}:narrow"], axis=1),
        helper.make_node("Cast", [f"{score}:narrow"], [score], to=TensorProto.DOUBLE),
    ]
    nodes = _needed([*before, *(_joined(node, whole) for node in graph.node), *after], score)
    used = {name for node in nodes for name in node.input}
    return _counted(
        helper.make_graph(
            nodes,
            _NAME,
            [value for value in given if value.name in used],
            [helper.make_tensor_value_info(score, TensorProto.DOUBLE, [None])],
            [constant for name, constant in constants.items() if name in used],
        )
    )


def _joined(node: onnx.NodeProto, whole: Mapping[tuple[str, ...], str]) -> onnx.NodeProto:
    """Putting together all columns that a matrix was just split into is the matrix."""
    value = whole.get(tuple(node.input))
    if node.op_type != "Concat" or value is None:
        return node
    return helper.make_node("Identity", [value], list(node.output))


def _needed(nodes: list[onnx.NodeProto], output: str) -> list[onnx.NodeProto]:
    """The nodes that the output depends on; skl2onnx gives them in an order that can be run."""
    kept: list[onnx.NodeProto] = []
    wanted = {output}
    for node in reversed(nodes):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= set(node.input)
    return kept[::-1]


def _counted(graph: onnx.GraphProto) -> onnx.GraphProto:
    """The graph with names that are counted; skl2onnx has memory addresses in some."""
    names: dict[str, str] = {}
    for value in (*graph.input, *graph.output):
        names[value.name] = value.name = value.name.removeprefix(_OURS)
    for constant in graph.initializer:
        names[constant.name] = constant.name = f"c{len(names)}"
    for number, node in enumerate(graph.node):
        node.name, node.doc_string = f"n{number}", ""
        inputs = [names[name] if name else "" for name in node.input]
        outputs = [names.setdefault(name, f"v{len(names)}") if name else "" for name in node.output]
        attributes = sorted(node.attribute, key=lambda attribute: attribute.name)
        del node.input[:], node.output[:], node.attribute[:]
        node.input.extend(inputs)
        node.output.extend(outputs)
        node.attribute.extend(attributes)
    return graph


def _one_line(error: Exception) -> str:
    """What a converter said, without memory addresses: it becomes a reason in a file that has to be the same again."""
    said = _ADDRESS.sub("...", " ".join(str(error).split()))
    return f"{type(error).__name__}: {said[:300]}"
