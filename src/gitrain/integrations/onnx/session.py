"""A model in ONNX, ready to score: what services load, without scikit-learn."""

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from gitrain.documents import parse_json
from gitrain.errors import GitrainError, ModelError
from gitrain.integrations.onnx.notes import CATEGORIES, NOTES, NULL, NUMBERS, SCORE, GraphNotes
from gitrain.online.columns import Columns
from gitrain.serving.model import ServedFormat
from gitrain.training.estimators import FeatureColumns

__all__ = ["OnnxModel"]

_ERRORS_ONLY = 3
# Of so few Python is quicker than NumPy.
_FEW = 32
# A string of a request that is the one which stands for null must not become null: it is a category nobody knows.
_SPECIAL = {None: NULL, NULL: NULL + NULL}


class OnnxModel:
    """A `gitrain.serving.model.ServedModel` over ONNX Runtime.

    Args:
        content: the file's bytes. Compare their digest with the manifest's first.
        name: of the file, for messages.
        threads: that one call of `score` may use; a service answers requests side by side and takes one.

    Raises:
        ModelError: no readable model, or not one that `gitrain export` wrote.
    """

    format: ServedFormat = "onnx"

    def __init__(self, content: bytes, *, name: str, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        options.enable_profiling = False
        # Threads that spin while they wait take the core from whoever answers the next request.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            text = self._session.get_modelmeta().custom_metadata_map.get(NOTES)
            if text is None:
                raise ModelError("the notes of its columns are missing", fix="")
            notes = parse_json(GraphNotes, text, source=name)
        except Exception as error:  # ONNX Runtime's own, and what a damaged file raises inside it
            why = error.what if isinstance(error, GitrainError) else " ".join(str(error).split())[:300]
            raise ModelError(
                f"{name} is no readable ONNX model: {why}",
                fix="restore it with `dvc pull`, or write it anew with `gitrain export`; do not trust it.",
            ) from error
        self._name = name
        self._columns = notes.feature_columns
        self._numeric = self._columns.numeric
        self._categorical = self._columns.categorical
        self._never_null = notes.never_null
        # An input that the model has no use for is not in its graph.
        self._inputs = {value.name for value in self._session.get_inputs()}

    @property
    def columns(self) -> FeatureColumns:
        """The columns that it takes; more are passed over."""
        return self._columns

    def score(self, columns: Columns) -> NDArray[np.float64]:
        """The probability of true for each row, shape (rows,); with one thread it depends on that row alone.

        Raises:
            ModelError: a column is missing or of another length, nothing is known where the model has to know
                something, ONNX Runtime fails, or what comes out is no probability.
        """
        rows = self._checked_rows(columns)
        if not rows:
            return np.zeros(0)
        feeds: dict[str, NDArray[Any]] = {}
        if NUMBERS in self._inputs:
            joined = np.concatenate([columns[name] for name in self._numeric], dtype=np.float64)
            feeds[NUMBERS] = _even(joined.reshape(-1, rows).T)
        if CATEGORIES in self._inputs:
            # As lists: element by element NumPy takes three times as long.
            texts = [_SPECIAL.get(value, value) for name in self._categorical for value in columns[name].tolist()]
            flat = np.empty(len(texts), dtype=object)
            flat[:] = texts
            feeds[CATEGORIES] = _even(flat.reshape(-1, rows).T)
        try:
            scores: NDArray[np.float64] = self._session.run([SCORE], feeds)[0][:rows]
        except Exception as error:  # its own exceptions, and UnicodeEncodeError of a string that is no text
            raise ModelError(
                f"{self._name} cannot score {rows} rows: {' '.join(str(error).split())[:300]}",
                fix="look at these rows; restore the model with `dvc pull` if it is every row.",
            ) from error
        if not _are_probabilities(scores):
            first = int(np.flatnonzero(~((scores >= 0) & (scores <= 1)))[0])
            raise ModelError(
                f"{self._name} gives {scores[first]:.6g} as the probability of row {first}",
                fix="look at that row's features, and at the parity in models/serving.json.",
            )
        return scores

    def _checked_rows(self, columns: Columns) -> int:
        """How many rows there are."""
        try:
            lengths = {len(columns[name]) for name in self._columns.names}
        except KeyError as error:
            raise ModelError(
                f"the rows have no column {error.args[0]!r}, which the model takes",
                fix="compute the features with the definitions that the model was trained with.",
            ) from error
        if len(lengths) != 1:
            raise ModelError(
                f"the columns have {' and '.join(map(str, sorted(lengths)))} rows", fix="give each the same number."
            )
        for name in self._never_null:
            values = columns[name]
            unknown = values == None if values.dtype == object else np.isnan(values)  # noqa: E711  (by element)
            if unknown.any():
                raise ModelError(
                    f"nothing is known of {name!r}, and the model cannot do without",
                    fix="fill the gap, or train an estimator that takes missing values.",
                )
        return int(lengths.pop())


def _even(matrix: NDArray[Any]) -> NDArray[Any]:
    """The rows, the last one twice where their number is odd.

    ONNX Runtime turns scores into probabilities two at a time; one that is left over may come out an ulp apart. With an
    even number a row's probability is the same to the last bit, whichever rows it is scored with.
    """
    if len(matrix) % 2:
        return np.concatenate((matrix, matrix[-1:]))
    return np.ascontiguousarray(matrix)


def _are_probabilities(scores: NDArray[np.float64]) -> bool:
    """Whether all are from 0 to 1; NaN is in no order with anything, so it is not."""
    if scores.size <= _FEW:
        return all(0 <= value <= 1 for value in scores.tolist())
    return bool(scores.min() >= 0 and scores.max() <= 1)
