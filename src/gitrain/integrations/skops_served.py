"""A model that is served as it was judged: by scikit-learn, out of a skops file."""

import numpy as np
from numpy.typing import NDArray

from gitrain.errors import ModelError
from gitrain.evaluation.scoring import score
from gitrain.integrations.skops import SkopsFormat
from gitrain.online.columns import Columns, frame_of
from gitrain.serving.model import ServedFormat
from gitrain.training.estimators import FeatureColumns

__all__ = ["SkopsModel"]


class SkopsModel:
    """A `gitrain.serving.model.ServedModel` over scikit-learn.

    Args:
        content: the file's bytes. Compare their digest with the manifest's first.
        columns: what the model takes.
        name: of the file, for messages.
        trusted: types that the project vouches for, as `SkopsFormat` takes them.

    Raises:
        ModelError: unreadable, or made of types that are not trusted.
    """

    format: ServedFormat = "skops"

    def __init__(self, content: bytes, columns: FeatureColumns, *, name: str, trusted: tuple[str, ...] = ()) -> None:
        self._estimator = SkopsFormat(trusted=trusted).load(content, name=name)
        self._columns = columns

    @property
    def columns(self) -> FeatureColumns:
        """The columns that it takes; more are passed over."""
        return self._columns

    def score(self, columns: Columns) -> NDArray[np.float64]:
        """The probability of true for each row, shape (rows,).

        Raises:
            ModelError: a column is missing or of another length, the estimator raises, or what comes out is no
                probability.
        """
        try:
            frame = frame_of(columns, self._columns)
        except KeyError as error:
            raise ModelError(
                f"the rows have no column {error.args[0]!r}, which the model takes",
                fix="compute the features with the definitions that the model was trained with.",
            ) from error
        return score(self._estimator, frame, self._columns)
