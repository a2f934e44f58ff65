"""What a model in ONNX says of itself: the columns it takes, and what stands for a category that is not known."""

from pydantic import Field

from gitrain.documents import Document
from gitrain.training.estimators import FeatureColumns

__all__ = ["CATEGORIES", "NOTES", "NULL", "NUMBERS", "SCORE", "GraphNotes"]

#: The name of the notes among the model's metadata.
NOTES = "gitrain"
#: ONNX's strings have no null: this one, which no encoder has as a category, stands for it.
NULL = "\x00"
#: The inputs, shape (rows, columns), and the output, shape (rows,).
NUMBERS, CATEGORIES, SCORE = "numbers", "categories", "score"


class GraphNotes(Document):
    """The model's columns.

    Attributes:
        columns: all, in the order of the training matrix.
        categorical: those that hold categories.
        never_null: those that the model of scikit-learn refuses to score where nothing is known; ONNX Runtime would
            give some number.
    """

    columns: tuple[str, ...] = Field(min_length=1)
    categorical: tuple[str, ...] = ()
    never_null: tuple[str, ...] = ()

    @property
    def feature_columns(self) -> FeatureColumns:
        """The columns as models have them."""
        return FeatureColumns(names=self.columns, categorical=self.categorical)
