"""Numbers inside a fitted model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["non_finite_parameters"]

# Boosting and trees put infinity where a split sends all numbers one way and missing values the other.
_MAY_BE_INFINITE = ("num_threshold", "bin_thresholds_", "threshold")
_OF_A_TREE = ("threshold", "value", "impurity", "weighted_n_node_samples")


def non_finite_parameters(estimator: object) -> list[str]:
    """Where a fitted estimator holds NaN or infinity, e.g. ``classifier.coef_``; sorted, empty if nowhere.

    Looked at is what fitting has made: attributes whose name ends in an underscore, and all that lies inside them.
    Settings are not (a missing value is often named by NaN), and neither are lists of categories, in which NaN is the
    name of the missing one.
    """
    found: set[str] = set()
    waiting: list[tuple[str, Any]] = [("", estimator)]
    # The object itself is kept beside its identity: a freed one could hand its own to the next.
    seen: dict[int, object] = {}
    while waiting:
        path, value = waiting.pop()
        if id(value) in seen or isinstance(value, (str, bytes, type)) or value is None:
            continue
        seen[id(value)] = value
        if isinstance(value, np.ndarray):
            if value.dtype == object:
                waiting.extend((f"{path}[{at}]", part) for at, part in enumerate(value.ravel()))
            elif _bad(value, path):
                found.add(path)
        elif isinstance(value, (float, np.floating)):
            if not np.isfinite(value):
                found.add(path)
        elif isinstance(value, Mapping):
            waiting.extend((f"{path}[{key!r}]", part) for key, part in value.items())
        elif isinstance(value, (list, tuple)):
            waiting.extend((f"{path}[{at}]", part) for at, part in enumerate(value))
        elif type(value).__module__ == "sklearn.tree._tree":
            waiting.extend((f"{path}.{name}", np.asarray(getattr(value, name))) for name in _OF_A_TREE)
        elif hasattr(value, "data") and hasattr(value, "indptr"):  # a sparse matrix
            waiting.append((f"{path}.data", value.data))
        elif hasattr(value, "__dict__"):
            settings = _settings(value)
            waiting.extend(
                (f"{path}.{name}".lstrip("."), part)
                for name, part in vars(value).items()
                if name not in settings and name != "categories_"
            )
    return sorted(found)


def _settings(value: object) -> set[str]:
    """The names of an estimator's settings; the estimators among them are fitted in place by pipelines and the like."""
    if not hasattr(value, "get_params"):
        return set()
    return {
        name
        for name, setting in value.get_params(deep=False).items()
        if not hasattr(setting, "get_params") and not isinstance(setting, (list, tuple))
    }


def _bad(array: NDArray[Any], path: str) -> bool:
    if array.dtype.names is not None:
        return any(_bad(array[name], f"{path}.{name}") for name in array.dtype.names)
    if array.dtype.kind not in "fc":
        return False
    if any(part in path.rsplit(".", maxsplit=1)[-1] for part in _MAY_BE_INFINITE):
        return bool(np.isnan(array).any())
    return not bool(np.isfinite(array).all())
