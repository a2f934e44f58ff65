"""What a stored model says of itself: `models/model.json`, part of the public API."""

import json
from typing import Any, Self

from pydantic import Field, model_validator

from gitrain.documents import Document
from gitrain.training.estimators import FeatureColumns

__all__ = ["ModelManifest"]


class ModelManifest(Document):
    """What a model was made from and what it takes; it holds no times and no paths, so equal runs give equal text.

    Attributes:
        project: the project's name.
        estimator: its name in params.yaml.
        parameters: the effective ones, with the defaults filled in; the number of iterations as it was asked for.
        features: the columns of the matrix, in order.
        categorical: those that hold categories.
        target: the column that is predicted.
        training_batches: the batches of the training window, in order.
        validation_units: the units, as text, whose rows gave the validation loss of the curve, in order. The model
            itself was fitted on them too.
        seed: of everything random.
        early_stopping: whether `iterations` was chosen by the validation loss.
        iterations: what the estimator was fitted with: trees, epochs or steps of the optimiser.
        converged: whether the optimiser met its tolerance; None where there is no such thing.
        rows: the labelled rows of the window; all were fitted.
        positives: those whose label is true.
        model_digest: ``sha256:`` and the digest of `models/model.skops`.
        libraries: version by name: ``python`` (major and minor), ``scikit-learn``, ``numpy``, ``skops``.
    """

    project: str
    estimator: str
    parameters: dict[str, Any]
    features: tuple[str, ...]
    categorical: tuple[str, ...]
    target: str
    training_batches: tuple[str, ...] = Field(min_length=1)
    validation_units: tuple[str, ...] = Field(min_length=1)
    seed: int
    early_stopping: bool
    iterations: int = Field(ge=1)
    converged: bool | None
    rows: int = Field(ge=2)
    positives: int = Field(ge=1)
    model_digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    libraries: dict[str, str]

    @model_validator(mode="after")
    def _categories_are_features(self) -> Self:
        unknown = sorted(set(self.categorical) - set(self.features))
        if unknown:
            raise ValueError(f"the categorical column {unknown[0]!r} is not among the features")
        return self

    @property
    def columns(self) -> FeatureColumns:
        """The columns of the matrix that the model takes."""
        return FeatureColumns(names=self.features, categorical=self.categorical)

    def to_json(self) -> str:
        """The file's text: sorted keys, two spaces, a newline at the end."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True, allow_nan=False) + "\n"
