"""What `gitrain export` is given to convert with."""

from collections.abc import Sequence

from gitrain.errors import UsageError
from gitrain.integrations.onnx.convert import convert
from gitrain.integrations.onnx.session import OnnxModel
from gitrain.serving.model import ServedModel
from gitrain.training.estimators import Estimator, FeatureColumns

__all__ = ["OnnxConverter"]


class OnnxConverter:
    """A `gitrain.serving.choice.ModelConverter`."""

    ways: Sequence[str] = ("double", "single")

    def convert(self, estimator: Estimator, columns: FeatureColumns, *, way: str, never_null: Sequence[str]) -> bytes:
        """A converted model. Raises ModelError if it has no equivalent, UsageError for an unknown way."""
        if way == "double":
            return convert(estimator, columns, precision="double", never_null=tuple(never_null))
        if way == "single":
            return convert(estimator, columns, precision="single", never_null=tuple(never_null))
        raise UsageError(f"there is no way {way!r} to convert", fix=f"use one of: {', '.join(self.ways)}.")

    def load(self, content: bytes, *, name: str) -> ServedModel:
        """A converted model, ready to score. Raises ModelError if it is not readable."""
        return OnnxModel(content, name=name)
