"""Estimators that a project can name in params.yaml: the protocol for its own, and ready-made ones for tables.

The ready-made factories give scikit-learn pipelines that take Polars data frames of numbers and categories. Their
parameters are those of the classifier at the end of the pipeline, checked by scikit-learn before any data is read.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from gitrain.errors import SettingsError

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.compose import ColumnTransformer

__all__ = [
    "Estimator",
    "EstimatorFactory",
    "FeatureColumns",
    "hist_gradient_boosting",
    "logistic_regression",
    "mlp",
]


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


# scikit-learn is imported inside the functions: projects name these factories, and every command that reads the
# project would wait a second for a library that only training and evaluation use.

_SEED = "it comes from training.seed"
_BY_TIME = "validation rows are chosen by time, by training.early_stopping and training.validation_units"
_RESERVED = {
    "random_state": _SEED,
    "early_stopping": _BY_TIME,
    "validation_fraction": _BY_TIME,
    "n_iter_no_change": _BY_TIME,
    "scoring": _BY_TIME,
    "warm_start": "every fit starts anew, so that a rerun gives the same model",
    "verbose": "progress is reported by `gitrain train`",
    "n_jobs": "a fit uses what OMP_NUM_THREADS allows",
    "categorical_features": "categories are encoded as ordinal numbers, which also converts to ONNX without a change",
}


def hist_gradient_boosting(parameters: Mapping[str, Any], columns: FeatureColumns, seed: int) -> Estimator:
    """Histogram gradient boosting (`sklearn.ensemble.HistGradientBoostingClassifier`), 200 iterations by default.

    Categories become ordinal numbers, unknown and missing ones -1; missing numbers stay missing, and each split learns
    which side they go to.

    Raises:
        SettingsError: an unknown parameter (the nearest known one is named) or a value that scikit-learn refuses.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.preprocessing import OrdinalEncoder

    defaults = {"max_iter": 200}
    classifier = HistGradientBoostingClassifier(early_stopping=False, random_state=seed)
    _configure("hist_gradient_boosting", classifier, {**defaults, **parameters})
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    return _model(_by_column(columns, encoder, "passthrough"), classifier)


def logistic_regression(parameters: Mapping[str, Any], columns: FeatureColumns, seed: int) -> Estimator:
    """Logistic regression (`sklearn.linear_model.LogisticRegression`), at most 1000 iterations by default.

    Categories are one-hot (unknown ones: all zeros), missing numbers become the column's median, numbers are scaled to
    mean 0 and variance 1.

    Raises:
        SettingsError: an unknown parameter (the nearest known one is named) or a value that scikit-learn refuses.
    """
    from sklearn.linear_model import LogisticRegression

    defaults = {"max_iter": 1000}
    classifier = LogisticRegression(random_state=seed)
    _configure("logistic_regression", classifier, {**defaults, **parameters})
    return _model(_one_hot_and_scaled(columns), classifier)


def mlp(parameters: Mapping[str, Any], columns: FeatureColumns, seed: int) -> Estimator:
    """A multi-layer perceptron (`sklearn.neural_network.MLPClassifier`), one hidden layer of 64, at most 30 epochs.

    Columns are prepared as for `logistic_regression`. `max_iter` counts epochs.

    Raises:
        SettingsError: an unknown parameter (the nearest known one is named) or a value that scikit-learn refuses.
    """
    from sklearn.neural_network import MLPClassifier

    defaults = {"hidden_layer_sizes": (64,), "batch_size": 512, "max_iter": 30}
    classifier = MLPClassifier(random_state=seed)
    _configure("mlp", classifier, {**defaults, **parameters})
    return _model(_one_hot_and_scaled(columns), classifier)


def _configure(name: str, classifier: "BaseEstimator", parameters: Mapping[str, Any]) -> None:
    """Set the parameters; scikit-learn's own checks judge their values."""
    known = sorted(set(classifier.get_params()) - set(_RESERVED))
    for parameter in parameters:
        if parameter in _RESERVED:
            raise SettingsError(
                f"params.yaml: estimators.{name} sets {parameter!r}, which is not its to set",
                fix=f"remove it: {_RESERVED[parameter]}.",
            )
        if parameter not in known:
            nearest = difflib.get_close_matches(parameter, known, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]!r}? " if nearest else ""
            raise SettingsError(
                f"params.yaml: estimators.{name} has the unknown parameter {parameter!r}",
                fix=f"{hint}known parameters: {', '.join(known)}.",
            )
    # YAML has no tuples, and a list that the caller still holds could change under the model.
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in parameters.items()}
    classifier.set_params(**values)
    try:
        classifier._validate_params()
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"params.yaml: estimators.{name}: {' '.join(str(error).split())}", fix="correct the value."
        ) from error


def _model(columns: "ColumnTransformer", classifier: "BaseEstimator") -> Estimator:
    from sklearn.pipeline import Pipeline

    model: Estimator = Pipeline([("columns", columns), ("classifier", classifier)])
    return model


def _one_hot_and_scaled(columns: FeatureColumns) -> "ColumnTransformer":
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numeric = Pipeline(
        [("impute", SimpleImputer(strategy="median", keep_empty_features=True)), ("scale", StandardScaler())]
    )
    return _by_column(columns, OneHotEncoder(handle_unknown="ignore"), numeric)


def _by_column(columns: FeatureColumns, categorical: Any, numeric: Any) -> "ColumnTransformer":
    from sklearn.compose import ColumnTransformer

    parts = [("categorical", categorical, list(columns.categorical)), ("numeric", numeric, list(columns.numeric))]
    # The threshold: one-hot columns stay sparse whatever the share of zeros in the data at hand.
    return ColumnTransformer([part for part in parts if part[2]], sparse_threshold=1.0)
