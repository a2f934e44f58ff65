"""Trees out of a file, checked before they are used.

scikit-learn follows the indices inside a tree without looking: in a crafted file a wrong one reads foreign memory, ends
the process or never ends (https://github.com/scikit-learn/scikit-learn/pull/34558).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["problem_of_trees"]

# These hand their rows to their trees without comparing the number of columns.
_UNCHECKED = ("sklearn.ensemble._forest", "sklearn.ensemble._gb")


def problem_of_trees(estimator: object) -> str | None:
    """What is wrong with the trees anywhere inside an estimator; None if nothing is."""
    try:
        return None if _all_sound(estimator) else "a tree points outside itself"
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        return f"a tree has a part missing or of the wrong kind: {' '.join(str(error).split())}"


def _all_sound(estimator: object) -> bool:
    # With each value comes the number of columns that rows have there, as far as it is known.
    waiting: list[tuple[Any, int]] = [(estimator, 0)]
    seen: set[tuple[int, int]] = set()
    while waiting:
        value, columns = waiting.pop()
        if (id(value), columns) in seen or isinstance(value, (str, bytes, int, float, type)):
            continue
        seen.add((id(value), columns))
        if isinstance(value, Mapping):
            waiting.extend((part, columns) for part in value.values())
        elif isinstance(value, (list, tuple, set)):
            waiting.extend((part, columns) for part in value)
        elif isinstance(value, np.ndarray):
            waiting.extend((part, columns) for part in (value.ravel().tolist() if value.dtype == object else ()))
        elif type(value).__module__ == "sklearn.tree._tree":
            if not _sound_tree(value, columns):
                return False
        elif hasattr(value, "__dict__"):
            state = vars(value)
            inside = int(state["n_features_in_"]) if "n_features_in_" in state else columns
            if "_predictors" in state and not _sound_boosting(value, inside):
                return False
            if type(value).__module__ in _UNCHECKED:
                waiting.extend((part, inside) for key, part in state.items() if key != "estimators_")
                waiting.extend((part, inside) for part in _flat(state.get("estimators_")))
                if not all(int(part.n_features_in_) == inside for part in _flat(state.get("estimators_"))):
                    return False
            else:
                waiting.extend((part, inside) for part in state.values())
    return True


def _flat(estimators: Any) -> list[Any]:
    return [] if estimators is None else list(np.asarray(estimators, dtype=object).ravel())


def _sound_tree(tree: Any, columns: int) -> bool:
    """A tree of `sklearn.tree`, as decision trees, forests and gradient boosting hold them."""
    left, right = np.asarray(tree.children_left), np.asarray(tree.children_right)
    feature = np.asarray(tree.feature)
    at = np.flatnonzero(left != -1)
    return bool(
        len(left) > 0
        and _children_follow(left[at], right[at], at, len(left))
        and np.all(feature[at] >= 0)
        and np.all(feature[at] < columns)
    )


def _sound_boosting(forest: Any, columns: int) -> bool:
    """Histogram gradient boosting."""
    binned = forest._bin_mapper.is_categorical_
    categorical = np.zeros(columns, dtype=bool) if binned is None else np.asarray(binned, dtype=bool)
    return len(categorical) == columns and all(
        _sound_predictor(tree, categorical) for iteration in forest._predictors for tree in iteration
    )


def _sound_predictor(tree: Any, categorical: NDArray[np.bool_]) -> bool:
    nodes = tree.nodes
    if nodes.ndim != 1 or not nodes.size:
        return False
    at = np.flatnonzero(nodes["is_leaf"] == 0)
    splits = nodes[at]
    feature = splits["feature_idx"].astype(np.int64)
    if not _children_follow(splits["left"].astype(np.int64), splits["right"].astype(np.int64), at, nodes.size):
        return False
    if not (np.all(feature >= 0) and np.all(feature < len(categorical))):
        return False
    by_category = splits["is_categorical"] != 0
    bitsets = splits[by_category]["bitset_idx"].astype(np.int64)
    known = min(len(tree.binned_left_cat_bitsets), len(tree.raw_left_cat_bitsets))
    return bool(np.all(categorical[feature[by_category]]) and np.all(bitsets < known))


def _children_follow(left: NDArray[Any], right: NDArray[Any], at: NDArray[np.intp], nodes: int) -> bool:
    """Children inside the tree and after their parent, so that every path ends."""
    return bool(np.all(left > at) and np.all(right > at) and np.all(left < nodes) and np.all(right < nodes))
