"""Models of many kinds on rows with a known truth: those that ONNX gives equally, and those that it does not."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from tests.gitrain.checks.trips import project
from tests.gitrain.training.generated import COLUMNS, frame, make

from gitrain.training.matrix import feature_matrix

CONTRACT = project().feature_contract
TRAINING = frame(1500)
HOLDOUT = frame(500, seed=5)


def ordinal(**options: Any) -> Any:
    settings = {"handle_unknown": "use_encoded_value", "unknown_value": -1, "encoded_missing_value": -1}
    return OrdinalEncoder(**(settings | options))


def one_hot(**options: Any) -> Any:
    return OneHotEncoder(**({"handle_unknown": "ignore"} | options))


def scaled(**options: Any) -> Any:
    return make_pipeline(SimpleImputer(strategy="median", **options), StandardScaler())


def pipeline(classifier: Any, categorical: Any, numeric: Any) -> Any:
    parts = [("categorical", categorical, list(COLUMNS.categorical)), ("numeric", numeric, list(COLUMNS.numeric))]
    return Pipeline([("columns", ColumnTransformer(parts)), ("classifier", classifier)])


def boosting(**options: Any) -> Any:
    return HistGradientBoostingClassifier(max_iter=15, random_state=0, **options)


def forest() -> Any:
    return RandomForestClassifier(12, random_state=0)


def numbers_only(classifier: Any) -> Any:
    return Pipeline([("columns", ColumnTransformer([("n", "passthrough", ["slope", "gusts"])])), ("c", classifier)])


EQUAL: dict[str, Callable[[], Any]] = {
    "ready-made boosting": lambda: make("hist_gradient_boosting"),
    "ready-made logistic regression": lambda: make("logistic_regression"),
    "ready-made mlp": lambda: make("mlp"),
    "mlp with two layers and tanh": lambda: make("mlp", {"hidden_layer_sizes": [8, 4], "activation": "tanh"}),
    "boosting of single leaves": lambda: pipeline(boosting(min_samples_leaf=10_000), ordinal(), "passthrough"),
    "boosting of numbers": lambda: numbers_only(boosting()),
    "boosting of one-hot columns": lambda: pipeline(boosting(), one_hot(sparse_output=False), "passthrough"),
    "forest": lambda: pipeline(forest(), ordinal(), scaled()),
    "forest with missing values": lambda: pipeline(forest(), ordinal(), "passthrough"),
    "extra trees": lambda: pipeline(ExtraTreesClassifier(12, random_state=0), ordinal(), scaled()),
    "one tree": lambda: pipeline(DecisionTreeClassifier(max_depth=6, random_state=0), ordinal(), scaled()),
    "gradient boosting": lambda: pipeline(
        GradientBoostingClassifier(n_estimators=12, random_state=0), ordinal(), scaled()
    ),
    "bagging": lambda: pipeline(BaggingClassifier(n_estimators=5, random_state=0), ordinal(), scaled()),
    "bayes": lambda: pipeline(GaussianNB(), ordinal(), scaled()),
    "codes with gaps": lambda: pipeline(LogisticRegression(), ordinal(unknown_value=-5), scaled()),
}

# Words of the reason why the judged model itself is served.
FALLS_BACK: dict[str, tuple[Callable[[], Any], str]] = {
    "categories native to boosting": (
        lambda: pipeline(
            boosting(categorical_features=[0]),
            ordinal(unknown_value=np.nan, encoded_missing_value=np.nan),
            "passthrough",
        ),
        "apart, beyond 1e-06",
    ),
    "isotonic calibration of boosting": (
        lambda: pipeline(CalibratedClassifierCV(boosting(), method="isotonic"), ordinal(), "passthrough"),
        "apart, beyond 1e-06",
    ),
    "isotonic calibration of a linear model": (
        lambda: pipeline(CalibratedClassifierCV(LogisticRegression(), method="isotonic"), one_hot(), scaled()),
        "apart, beyond 1e-06",
    ),
    "a dropped category": (lambda: pipeline(LogisticRegression(), one_hot(drop="first"), scaled()), "apart, beyond"),
    "infrequent categories": (
        lambda: pipeline(LogisticRegression(), one_hot(min_frequency=0.3), scaled()),
        "cannot be converted",
    ),
    "neighbours": (lambda: pipeline(KNeighborsClassifier(), ordinal(), scaled()), "cannot be converted"),
    "a function of the project's own": (
        lambda: pipeline(LogisticRegression(), one_hot(), make_pipeline(SimpleImputer(), FunctionTransformer(np.abs))),
        "cannot be converted",
    ),
    "an encoder that raises": (
        lambda: pipeline(LogisticRegression(), OneHotEncoder(), scaled()),
        "the judged model refuses rows that its contract allows (ValueError)",
    ),
}


@cache
def fitted(name: str) -> Any:
    """One of the models above. Fitted once: leave it as it is."""
    made = EQUAL[name]() if name in EQUAL else FALLS_BACK[name][0]()
    return made.fit(feature_matrix(TRAINING, COLUMNS), labels(TRAINING))


def labels(rows: pl.DataFrame) -> Any:
    return rows["late"].to_numpy().astype(np.int8)
