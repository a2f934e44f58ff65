"""Where the trees of a fitted model part their rows: there a model in another precision goes wrong first."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.training.estimators import Estimator, FeatureColumns

__all__ = ["split_points"]


def split_points(estimator: Estimator, columns: FeatureColumns, matrix: pl.DataFrame) -> dict[str, NDArray[np.float64]]:
    """By numeric column the thresholds of the model's trees, ascending and each once.

    Read from what scikit-learn keeps of trees, forests and both kinds of gradient boosting. A column that no threshold
    is known of gets the middles between neighbouring values that were seen: what any tree would be split at.

    Args:
        estimator: a fitted classifier, alone or at the end of a pipeline.
        columns: what it takes.
        matrix: rows that were seen, with these columns.
    """
    names = _names_at_the_trees(estimator, columns)
    found: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for features, thresholds in _splits(estimator):
        for number in np.unique(features):
            if number < len(names) and names[number] in columns.numeric:
                found[names[number]].append(thresholds[features == number])
    points = {}
    for name in columns.numeric:
        if name in found:
            points[name] = np.unique(np.concatenate(found[name]))
        else:
            values = np.unique(matrix[name].drop_nulls().drop_nans().to_numpy())
            points[name] = (values[1:] + values[:-1]) / 2 if values.size > 1 else values
    return points


def _names_at_the_trees(estimator: Any, columns: FeatureColumns) -> list[str]:
    """The column that each feature of the last step comes from; a pipeline may have put them into another order."""
    steps = getattr(estimator, "steps", None)
    if not steps or len(steps) < 2:
        return list(columns.names)
    try:
        given = [str(name) for name in estimator[:-1].get_feature_names_out(list(columns.names))]
    except (AttributeError, TypeError, ValueError):  # a transformer of the project's own need not know names
        return []
    # ColumnTransformer writes the transformer's name before the column's.
    return [name if name in columns.names else name.partition("__")[2] for name in given]


def _splits(estimator: Any) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Of each tree anywhere inside an estimator: the features and the thresholds of its splits."""
    waiting: list[Any] = [estimator]
    seen: set[int] = set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, (str, bytes, int, float, type)):
            continue
        seen.add(id(value))
        if isinstance(value, (list, tuple)):
            waiting.extend(value)
        elif isinstance(value, np.ndarray):
            waiting.extend(value.ravel().tolist() if value.dtype == object else ())
        elif hasattr(value, "children_left"):
            at = np.flatnonzero(np.asarray(value.children_left) != -1)
            yield np.asarray(value.feature, dtype=np.int64)[at], np.asarray(value.threshold, dtype=np.float64)[at]
        elif hasattr(value, "nodes") and hasattr(value, "raw_left_cat_bitsets"):
            nodes = value.nodes
            at = np.flatnonzero((nodes["is_leaf"] == 0) & (nodes["is_categorical"] == 0))
            yield nodes["feature_idx"][at].astype(np.int64), nodes["num_threshold"][at].astype(np.float64)
        elif hasattr(value, "tree_"):
            waiting.append(value.tree_)
        elif hasattr(value, "__dict__"):
            waiting.extend(vars(value).values())
