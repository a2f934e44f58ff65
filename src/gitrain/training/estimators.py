"""Estimators that a project can name in params.yaml, and the protocol for its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Estimator", "EstimatorFactory", "FeatureColumns"]


@dataclass(frozen=True, kw_only=True)
class FeatureColumns:
    """The columns of the training matrix, in order; `categorical` ones hold strings, all others numbers."""

    names: tuple[str, ...]
    categorical: tuple[str, ...] = ()

    @property
    def numeric(self) -> tuple[str, ...]:
        """The columns that are not categories, in order."""
        return tuple(name for name in self.names if name not in self.categorical)


class Estimator(Protocol):
    """A classifier as scikit-learn knows them."""

    def fit(self, X: Any, y: Any) -> "Estimator":  # noqa: N803
        """Fit to rows X and labels y."""

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        """Probabilities of the classes, shape (rows, 2)."""


class EstimatorFactory(Protocol):
    """Makes an unfitted estimator from the parameters in params.yaml; it refuses parameters that it does not know."""

    def __call__(self, parameters: Mapping[str, Any], columns: FeatureColumns, seed: int) -> Estimator:
        """An unfitted scikit-learn classifier that takes a data frame with the columns of `columns`."""
