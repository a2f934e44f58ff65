"""Converters in double precision, for the steps where skl2onnx's own compute in single precision.

skl2onnx writes thresholds, medians and codes as 32-bit floats even where the input has 64 bits, and some of what it
writes then does not load. These converters take its place for the steps that are ready-made in
`gitrain.training.estimators` and for trees, forests and boosting. What they do not know they refuse
(`NotImplementedError`), so that the caller tries skl2onnx's own.

scikit-learn itself is the source of what each step computes; ONNX's operators are those of
https://onnx.ai/onnx/operators/ (`TreeEnsemble` since ai.onnx.ml 5).
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType, StringTensorType
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

__all__ = ["CONVERTERS", "SHAPES"]

_ML = "ai.onnx.ml"
# TreeEnsemble came with 5, which skl2onnx does not know: the caller declares what the graph really needs.
_ML_VERSION = 3
_LESS_OR_EQUAL, _SUM = 0, 1


class _Nodes:
    """Adds nodes to skl2onnx's container, each with one output whose name it gives."""

    def __init__(self, scope: Any, operator: Any, container: Any) -> None:
        self._scope = scope
        self._container = container
        self._outputs = [output.full_name for output in operator.outputs]

    def constant(self, values: Any, dtype: Any = np.float64) -> str:
        array = np.asarray(values, dtype=dtype)
        name: str = self._scope.get_unique_variable_name("constant")
        self._container.add_initializer(name, None, None, numpy_helper.from_array(array, name))
        return name

    def add(self, kind: str, inputs: Iterable[str], *, output: str | None = None, **attributes: Any) -> str:
        # Operators of both domains have different names.
        is_ml = kind in ("LabelEncoder", "TreeEnsemble", "OneHotEncoder")
        name: str = output or self._scope.get_unique_variable_name("value")
        self._container.add_node(
            kind,
            list(inputs),
            [name],
            op_domain=_ML if is_ml else "",
            op_version=_ML_VERSION if is_ml else None,
            name=self._scope.get_unique_operator_name(kind),
            **attributes,
        )
        return name

    def double(self, value: str) -> str:
        return self.add("Cast", [value], to=TensorProto.DOUBLE)

    def finish(self, value: str) -> None:
        """The output of a step that gives a matrix."""
        self.add("Identity", [value], output=self._outputs[0])

    def finish_probability(self, positive: str) -> None:
        """The outputs of a classifier: the classes, and the probabilities of both."""
        negative = self.add("Sub", [self.constant(1.0), positive])
        self.add("Concat", [negative, positive], output=self._outputs[1], axis=1)
        self.add("ArgMax", [self._outputs[1]], output=self._outputs[0], axis=1, keepdims=0)


def _refuse(condition: object, why: str) -> None:
    if condition:
        raise NotImplementedError(why)


def _matrix(nodes: _Nodes, operator: Any) -> str:
    """All inputs of a step as one matrix of doubles."""
    names = []
    for variable in operator.inputs:
        _refuse(isinstance(variable.type, StringTensorType), "strings where numbers are wanted")
        is_double = isinstance(variable.type, DoubleTensorType)
        names.append(variable.full_name if is_double else nodes.double(variable.full_name))
    return names[0] if len(names) == 1 else nodes.add("Concat", names, axis=1)


def _category_columns(nodes: _Nodes, operator: Any) -> list[str]:
    """Each column of strings that a step takes, shape (rows, 1)."""
    columns = []
    for variable in operator.inputs:
        _refuse(not isinstance(variable.type, StringTensorType), "categories that are no strings")
        width = variable.type.shape[1]
        if width == 1:
            columns.append(variable.full_name)
            continue
        columns += [
            nodes.add("Gather", [variable.full_name, nodes.constant([number], np.int64)], axis=1)
            for number in range(width)
        ]
    return columns


def _ordinal_encoder(scope: Any, operator: Any, container: Any) -> None:
    step = operator.raw_operator
    _refuse(step.handle_unknown != "use_encoded_value", "an encoder that raises for an unknown category")
    _refuse(getattr(step, "_infrequent_enabled", False), "infrequent categories")
    # Of strings None alone is missing, and scikit-learn gives it a code like any other category.
    _refuse(step._missing_indices, "categories that are NaN")
    nodes = _Nodes(scope, operator, container)
    found = []
    for column, categories in zip(_category_columns(nodes, operator), step.categories_, strict=True):
        # Whole numbers below 2**24, and NaN: exact as 32-bit floats.
        found.append(
            nodes.add(
                "LabelEncoder",
                [column],
                keys_strings=[str(category).encode() for category in categories],
                values_floats=[float(code) for code in range(len(categories))],
                default_float=float(step.unknown_value),
            )
        )
    joined = found[0] if len(found) == 1 else nodes.add("Concat", found, axis=1)
    nodes.finish(nodes.double(joined))


def _one_hot_encoder(scope: Any, operator: Any, container: Any) -> None:
    step = operator.raw_operator
    _refuse(step.handle_unknown != "ignore", "an encoder that does not ignore unknown categories")
    _refuse(step.drop is not None or getattr(step, "_infrequent_enabled", False), "dropped or infrequent categories")
    nodes = _Nodes(scope, operator, container)
    found = []
    for column, categories in zip(_category_columns(nodes, operator), step.categories_, strict=True):
        encoded = nodes.add(
            "OneHotEncoder", [column], cats_strings=[str(category).encode() for category in categories], zeros=1
        )
        # (rows, 1, categories) to (rows, categories).
        found.append(nodes.add("Reshape", [encoded, nodes.constant([-1, len(categories)], np.int64)]))
    joined = found[0] if len(found) == 1 else nodes.add("Concat", found, axis=1)
    nodes.finish(nodes.double(joined))


def _simple_imputer(scope: Any, operator: Any, container: Any) -> None:
    step = operator.raw_operator
    missing_is_nan = isinstance(step.missing_values, float) and np.isnan(step.missing_values)
    _refuse(not missing_is_nan or step.add_indicator, "missing values that are not NaN, or indicators of them")
    statistics = np.asarray(step.statistics_, dtype=np.float64).reshape(1, -1)
    _refuse(np.isnan(statistics).any(), "a column without any value")
    nodes = _Nodes(scope, operator, container)
    matrix = _matrix(nodes, operator)
    missing = nodes.add("IsNaN", [matrix])
    nodes.finish(nodes.add("Where", [missing, nodes.constant(statistics), matrix]))


def _standard_scaler(scope: Any, operator: Any, container: Any) -> None:
    step = operator.raw_operator
    nodes = _Nodes(scope, operator, container)
    value = _matrix(nodes, operator)
    if step.with_mean:
        value = nodes.add("Sub", [value, nodes.constant(step.mean_.reshape(1, -1))])
    if step.with_std:
        value = nodes.add("Div", [value, nodes.constant(step.scale_.reshape(1, -1))])
    nodes.finish(value)


def _check_binary(step: Any) -> None:
    _refuse(len(step.classes_) != 2, f"{len(step.classes_)} classes")


def _logistic_regression(scope: Any, operator: Any, container: Any) -> None:
    step = operator.raw_operator
    _check_binary(step)
    nodes = _Nodes(scope, operator, container)
    product = nodes.add("MatMul", [_matrix(nodes, operator), nodes.constant(step.coef_.T)])
    raw = nodes.add("Add", [product, nodes.constant(np.reshape(step.intercept_, (1, -1)))])
    nodes.finish_probability(nodes.add("Sigmoid", [raw]))


_ACTIVATIONS = {"identity": "Identity", "tanh": "Tanh", "logistic": "Sigmoid", "relu": "Relu"}


def _mlp(scope: Any, operator: Any, container: Any) -> None:
    step = operator.raw_operator
    _check_binary(step)
    nodes = _Nodes(scope, operator, container)
    value = _matrix(nodes, operator)
    last = len(step.coefs_) - 1
    for layer, (weights, intercepts) in enumerate(zip(step.coefs_, step.intercepts_, strict=True)):
        value = nodes.add("MatMul", [value, nodes.constant(weights)])
        value = nodes.add("Add", [value, nodes.constant(np.reshape(intercepts, (1, -1)))])
        activation = step.out_activation_ if layer == last else step.activation
        value = nodes.add(_ACTIVATIONS[activation], [value])
    nodes.finish_probability(value)


class _Ensemble:
    """The attributes of `TreeEnsemble`, filled tree by tree."""

    def __init__(self) -> None:
        self._roots: list[int] = []
        self._columns: dict[str, list[NDArray[Any]]] = {
            name: []
            for name in ("featureids", "splits", "missing", "truenodeids", "falsenodeids", "trueleafs", "falseleafs")
        }
        self._leaves: list[NDArray[np.float64]] = []
        self._nodes = self._leaf_count = 0

    def add_tree(
        self,
        *,
        is_leaf: NDArray[np.bool_],
        feature: NDArray[np.int64],
        threshold: NDArray[np.float64],
        left: NDArray[np.int64],
        right: NDArray[np.int64],
        missing_left: NDArray[np.bool_],
        value: NDArray[np.float64],
    ) -> None:
        """One tree: arrays by node, the root first; a row goes left where its value is at most the threshold."""
        leaf_number = self._leaf_count + np.cumsum(is_leaf) - 1
        node_number = self._nodes + np.cumsum(~is_leaf) - 1
        self._roots.append(self._nodes)
        parts: tuple[NDArray[Any], ...]
        if is_leaf[0]:
            # ONNX has no tree of one leaf: a split whose sides are the same leaf.
            only = np.array([leaf_number[0]])
            parts = (np.zeros(1, np.int64), np.zeros(1), np.zeros(1, bool), only, only, np.ones(1), np.ones(1))
        else:
            at = np.flatnonzero(~is_leaf)
            sides = [
                (np.where(is_leaf[child], leaf_number[child], node_number[child]), is_leaf[child])
                for child in (left[at], right[at])
            ]
            (true_id, true_leaf), (false_id, false_leaf) = sides
            parts = (feature[at], threshold[at], missing_left[at], true_id, false_id, true_leaf, false_leaf)
        for name, part in zip(self._columns, parts, strict=True):
            self._columns[name].append(part)
        self._leaves.append(value[is_leaf])
        self._nodes += len(parts[0])
        self._leaf_count += int(is_leaf.sum())

    def attributes(self) -> dict[str, Any]:
        columns = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        # Attributes are lists of 64-bit integers, but for three tensors.
        integers = {
            f"nodes_{name}": columns[name].astype(np.int64).tolist()
            for name in ("featureids", "truenodeids", "falsenodeids", "trueleafs", "falseleafs")
        }
        modes = np.full(self._nodes, _LESS_OR_EQUAL, dtype=np.uint8)
        return {
            **integers,
            "n_targets": 1,
            "aggregate_function": _SUM,
            "post_transform": 0,
            "tree_roots": self._roots,
            "nodes_modes": numpy_helper.from_array(modes, "modes"),
            "nodes_splits": numpy_helper.from_array(columns["splits"].astype(np.float64), "splits"),
            "nodes_missing_value_tracks_true": columns["missing"].astype(np.int64).tolist(),
            "leaf_targetids": [0] * self._leaf_count,
            "leaf_weights": numpy_helper.from_array(np.concatenate(self._leaves), "weights"),
        }


def _hist_gradient_boosting(scope: Any, operator: Any, container: Any) -> None:
    step = operator.raw_operator
    _check_binary(step)
    ensemble = _Ensemble()
    for iteration in step._predictors:
        nodes = iteration[0].nodes
        is_leaf = nodes["is_leaf"] != 0
        _refuse((nodes["is_categorical"][~is_leaf] != 0).any(), "splits by sets of categories")
        ensemble.add_tree(
            is_leaf=is_leaf,
            feature=nodes["feature_idx"].astype(np.int64),
            threshold=nodes["num_threshold"],
            left=nodes["left"].astype(np.int64),
            right=nodes["right"].astype(np.int64),
            missing_left=nodes["missing_go_to_left"] != 0,
            value=nodes["value"],
        )
    graph = _Nodes(scope, operator, container)
    total = graph.add("TreeEnsemble", [_matrix(graph, operator)], **ensemble.attributes())
    raw = graph.add("Add", [total, graph.constant(np.reshape(step._baseline_prediction, (1, 1)))])
    graph.finish_probability(graph.add("Sigmoid", [raw]))


def _add_scikit_tree(ensemble: _Ensemble, tree: Any, value: NDArray[np.float64]) -> None:
    """A tree of `sklearn.tree`; `value` has what each node adds, if it is a leaf."""
    left = np.asarray(tree.children_left, dtype=np.int64)
    ensemble.add_tree(
        is_leaf=left == -1,
        feature=np.asarray(tree.feature, dtype=np.int64),
        threshold=np.asarray(tree.threshold, dtype=np.float64),
        left=left,
        right=np.asarray(tree.children_right, dtype=np.int64),
        missing_left=np.asarray(tree.missing_go_to_left) != 0,
        value=value,
    )


def _sum_of_scikit_trees(nodes: _Nodes, operator: Any, ensemble: _Ensemble) -> str:
    # scikit-learn's trees see 32-bit floats, and compare these with thresholds of 64 bits.
    narrowed = nodes.add("Cast", [_matrix(nodes, operator)], to=TensorProto.FLOAT)
    return nodes.add("TreeEnsemble", [nodes.double(narrowed)], **ensemble.attributes())


def _forest(scope: Any, operator: Any, container: Any) -> None:
    """A forest, or one tree."""
    step = operator.raw_operator
    _refuse(step.n_outputs_ != 1, "several targets")
    _check_binary(step)
    trees = [estimator.tree_ for estimator in getattr(step, "estimators_", [step])]
    ensemble = _Ensemble()
    for tree in trees:
        counts = np.asarray(tree.value[:, 0, :], dtype=np.float64)
        _add_scikit_tree(ensemble, tree, counts[:, 1] / counts.sum(axis=1))
    nodes = _Nodes(scope, operator, container)
    total = _sum_of_scikit_trees(nodes, operator, ensemble)
    nodes.finish_probability(nodes.add("Div", [total, nodes.constant(float(len(trees)))]))


def _gradient_boosting(scope: Any, operator: Any, container: Any) -> None:
    step = operator.raw_operator
    _check_binary(step)
    _refuse(step.loss != "log_loss" or step.init not in (None, "zero"), "another loss, or a start of its own")
    ensemble = _Ensemble()
    for estimator in step.estimators_[:, 0]:
        tree = estimator.tree_
        _add_scikit_tree(ensemble, tree, step.learning_rate * np.asarray(tree.value[:, 0, 0], dtype=np.float64))
    # Before the first tree every row has the same score.
    start = step._raw_predict_init(np.zeros((1, step.n_features_in_), dtype=np.float32))
    nodes = _Nodes(scope, operator, container)
    total = _sum_of_scikit_trees(nodes, operator, ensemble)
    raw = nodes.add("Add", [total, nodes.constant(np.reshape(start, (1, 1)))])
    nodes.finish_probability(nodes.add("Sigmoid", [raw]))


def _same_width(operator: Any) -> None:
    width = sum(variable.type.shape[1] for variable in operator.inputs)
    operator.outputs[0].type = DoubleTensorType([None, width])


def _one_hot_width(operator: Any) -> None:
    width = sum(len(categories) for categories in operator.raw_operator.categories_)
    operator.outputs[0].type = DoubleTensorType([None, width])


def _class_and_probabilities(operator: Any) -> None:
    operator.outputs[0].type = Int64TensorType([None])
    operator.outputs[1].type = DoubleTensorType([None, 2])


_STEPS: dict[type, Callable[[Any, Any, Any], None]] = {
    OrdinalEncoder: _ordinal_encoder,
    OneHotEncoder: _one_hot_encoder,
    SimpleImputer: _simple_imputer,
    StandardScaler: _standard_scaler,
}
_CLASSIFIERS: dict[type, Callable[[Any, Any, Any], None]] = {
    LogisticRegression: _logistic_regression,
    MLPClassifier: _mlp,
    HistGradientBoostingClassifier: _hist_gradient_boosting,
    RandomForestClassifier: _forest,
    ExtraTreesClassifier: _forest,
    DecisionTreeClassifier: _forest,
    GradientBoostingClassifier: _gradient_boosting,
}

#: By class, skl2onnx's `custom_conversion_functions`.
CONVERTERS: dict[type, Callable[[Any, Any, Any], None]] = {**_STEPS, **_CLASSIFIERS}

#: By class, skl2onnx's `custom_shape_calculators`.
SHAPES: dict[type, Callable[[Any], None]] = {
    **dict.fromkeys(_STEPS, _same_width),
    OneHotEncoder: _one_hot_width,
    **dict.fromkeys(_CLASSIFIERS, _class_and_probabilities),
}
