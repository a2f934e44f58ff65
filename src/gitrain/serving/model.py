"""A model as serving uses it: arrays in, probabilities out, whatever it is stored as."""

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gitrain.online.columns import Columns
from gitrain.training.estimators import FeatureColumns

__all__ = ["ServedFormat", "ServedModel"]

#: What a served model is stored as.
ServedFormat = Literal["onnx", "skops"]


class ServedModel(Protocol):
    """A model that is ready to score. Safe to call from several threads."""

    @property
    def format(self) -> ServedFormat:
        """What it is stored as."""

    @property
    def columns(self) -> FeatureColumns:
        """The columns that it takes; more are passed over."""

    def score(self, columns: Columns) -> NDArray[np.float64]:
        """The probability of true for each row, shape (rows,).

        Raises:
            ModelError: a column is missing, or what comes out is no probability.
        """
