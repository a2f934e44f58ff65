"""Metrics of a binary classifier, prepared so that a bootstrap over blocks of rows costs next to nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["BlockStatistic", "Metric"]


class BlockStatistic(Protocol):
    """A metric of one model on one set of rows, as a function of how often each block of rows was drawn."""

    def __call__(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """The metric for each draw.

        Args:
            counts: how often each block was drawn, shape (draws, blocks); all ones give the metric itself.

        Returns:
            Shape (draws,); NaN where a draw leaves the metric undefined (one class only).
        """


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric by name.

    Attributes:
        name: the key in params.yaml and in metrics.json.
        direction: which values are better.
        no_skill: what a model without skill reaches; a threshold that it would pass is trivial.
        prepare: from labels (0 or 1), scores (probabilities) and block numbers (0 to blocks - 1), each of shape
            (rows,), to the statistic.
    """

    name: str
    direction: Literal["higher", "lower"]
    no_skill: float
    prepare: Callable[[NDArray[np.int8], NDArray[np.float64], NDArray[np.int64]], BlockStatistic]
