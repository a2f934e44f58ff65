"""How an estimator gets better, iteration by iteration: trees, epochs, or steps of an optimiser."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gitrain.training.estimators import Estimator
from gitrain.training.matrix import true_probabilities

__all__ = ["Iterate", "IterativeEstimator", "Learner", "learner_of"]


@dataclass(frozen=True)
class Iterate:
    """The model as it is after an iteration.

    Attributes:
        iteration: its number, from 1.
        probabilities: of true, one array of shape (rows,) for each watched matrix.
    """

    iteration: int
    probabilities: tuple[NDArray[np.float64], ...]


@runtime_checkable
class IterativeEstimator(Protocol):
    """What an estimator of your own offers if its curve is to have more than one point.

    Without it an estimator (or a pipeline that ends in one) is watched as scikit-learn allows: by
    ``staged_predict_proba``, by ``partial_fit`` with a parameter ``max_iter``, or by refits with a growing
    ``max_iter``. One that offers none of these gets a curve of one point.
    """

    @property
    def max_iterations(self) -> int:
        """How many iterations its parameters allow."""

    def fit_iterations(
        self,
        X: Any,  # noqa: N803
        y: NDArray[np.int8],
        *,
        iterations: int,
        watched: Sequence[Any],
    ) -> Iterator[Iterate]:
        """Fit anew for `iterations`, and give what the model says of each watched matrix on the way.

        With the iterator's end the estimator is fitted. With nothing to watch, the last iterate alone is enough. Equal
        arguments give equal models, and fewer iterations give the first part of the same path.
        """


class Learner(Protocol):
    """An estimator together with the way in which its iterations are seen."""

    @property
    def estimator(self) -> Estimator:
        """What is stored in the end."""

    @property
    def max_iterations(self) -> int:
        """As for `IterativeEstimator`."""

    @property
    def converged(self) -> bool | None:
        """Whether the last fit met the tolerance of its optimiser; None where there is no such thing."""

    def fit_iterations(
        self,
        X: Any,  # noqa: N803
        y: NDArray[np.int8],
        *,
        iterations: int,
        watched: Sequence[Any],
    ) -> Iterator[Iterate]:
        """As for `IterativeEstimator`."""


def learner_of(estimator: Estimator, *, seed: int) -> Learner:
    """The best way to watch this estimator.

    Args:
        estimator: unfitted; it is fitted in place.
        seed: of the order in which epochs visit the rows.
    """
    if isinstance(estimator, IterativeEstimator):
        return _Own(estimator, estimator)
    columns, classifier = _parts(estimator)
    parameters = classifier.get_params() if hasattr(classifier, "get_params") else {}
    if hasattr(classifier, "staged_predict_proba"):
        for limit in ("max_iter", "n_estimators"):
            if limit in parameters:
                return _Boosting(estimator, columns, classifier, limit)
    if isinstance(parameters.get("max_iter"), int) and parameters["max_iter"] >= 1:
        if hasattr(classifier, "partial_fit"):
            return _Epochs(estimator, columns, classifier, seed)
        return _Optimiser(estimator, columns, classifier)
    return _OnePoint(estimator)


def _parts(estimator: Any) -> tuple[Any, Any]:
    """What comes before the classifier (None: nothing), and the classifier; both share their state with `estimator`."""
    steps = getattr(estimator, "steps", None)
    if not steps:
        return None, estimator
    return (estimator[:-1] if len(steps) > 1 else None), steps[-1][1]


def _prepare(columns: Any, X: Any, y: NDArray[np.int8], watched: Sequence[Any]) -> tuple[Any, list[Any]]:  # noqa: N803
    """Fit what comes before the classifier, once, and pass all rows through it."""
    if columns is None:
        return X, list(watched)
    rows = columns.fit_transform(X, y)
    return rows, [columns.transform(matrix) for matrix in watched]


@dataclass
class _Own:
    """An estimator that shows its iterations itself."""

    estimator: Estimator
    iterative: IterativeEstimator

    @property
    def converged(self) -> bool | None:
        found = getattr(self.estimator, "converged_", None)
        return None if found is None else bool(found)

    @property
    def max_iterations(self) -> int:
        return self.iterative.max_iterations

    def fit_iterations(
        self,
        X: Any,  # noqa: N803
        y: NDArray[np.int8],
        *,
        iterations: int,
        watched: Sequence[Any],
    ) -> Iterator[Iterate]:
        return self.iterative.fit_iterations(X, y, iterations=iterations, watched=watched)


@dataclass
class _Boosting:
    """One fit; afterwards the model can say what it would have said with its first trees alone."""

    estimator: Estimator
    columns: Any
    classifier: Any
    limit: str
    converged: None = None

    @property
    def max_iterations(self) -> int:
        return int(self.classifier.get_params()[self.limit])

    def fit_iterations(
        self,
        X: Any,  # noqa: N803
        y: NDArray[np.int8],
        *,
        iterations: int,
        watched: Sequence[Any],
    ) -> Iterator[Iterate]:
        rows, seen = _prepare(self.columns, X, y, watched)
        self.classifier.set_params(**{self.limit: iterations})
        self.classifier.fit(rows, y)
        if hasattr(getattr(self.classifier, "_bin_mapper", None), "n_threads"):
            # The number of cores at the fit: nothing reads it again, and it alone would tell two machines apart.
            self.classifier._bin_mapper.n_threads = 1
        if not watched:
            # An estimator with an early stop of its own may have ended before.
            yield Iterate(int(getattr(self.classifier, "n_iter_", iterations)), ())
            return
        on_the_way = zip(*(self.classifier.staged_predict_proba(matrix) for matrix in seen), strict=True)
        for number, probabilities in enumerate(on_the_way, start=1):
            yield Iterate(number, tuple(true_probabilities(each) for each in probabilities))


@dataclass
class _Epochs:
    """One `partial_fit` an epoch, each with the rows in an order of its own."""

    estimator: Estimator
    columns: Any
    classifier: Any
    seed: int
    converged: None = None

    @property
    def max_iterations(self) -> int:
        return int(self.classifier.get_params()["max_iter"])

    def fit_iterations(
        self,
        X: Any,  # noqa: N803
        y: NDArray[np.int8],
        *,
        iterations: int,
        watched: Sequence[Any],
    ) -> Iterator[Iterate]:
        rows, seen = _prepare(self.columns, X, y, watched)
        classes = np.unique(y)
        for epoch in range(1, iterations + 1):
            # `partial_fit` starts its own shuffling anew at every call: left alone it would repeat one order.
            order = np.random.default_rng((self.seed, epoch)).permutation(len(y))
            with warnings.catch_warnings():
                warnings.filterwarnings(
                    "ignore", message="Got `batch_size` less than 1 or larger", category=UserWarning
                )
                self.classifier.partial_fit(rows[order], y[order], classes=classes)
            yield Iterate(epoch, tuple(true_probabilities(self.classifier.predict_proba(matrix)) for matrix in seen))
        if hasattr(self.classifier, "_optimizer"):
            # Adam's moments: twice the size of the weights, of use to nobody who predicts.
            del self.classifier._optimizer


@dataclass
class _Optimiser:
    """Refits from the start with a growing limit: a deterministic optimiser repeats its first steps exactly."""

    estimator: Estimator
    columns: Any
    classifier: Any
    converged: bool | None = None

    @property
    def max_iterations(self) -> int:
        return int(self.classifier.get_params()["max_iter"])

    def fit_iterations(
        self,
        X: Any,  # noqa: N803
        y: NDArray[np.int8],
        *,
        iterations: int,
        watched: Sequence[Any],
    ) -> Iterator[Iterate]:
        rows, seen = _prepare(self.columns, X, y, watched)
        last = 0
        for limit in _ladder(iterations) if watched else [iterations]:
            self.converged = self._fit(rows, y, limit)
            taken = max(int(np.max(getattr(self.classifier, "n_iter_", limit))), 1)
            # One that meets its tolerance at the very step of its limit learns of it with the next limit only.
            if taken > last:
                probabilities = tuple(true_probabilities(self.classifier.predict_proba(matrix)) for matrix in seen)
                yield Iterate(taken, probabilities)
                last = taken
            if self.converged:
                return

    def _fit(self, rows: Any, y: NDArray[np.int8], limit: int) -> bool:
        from sklearn.exceptions import ConvergenceWarning

        self.classifier.set_params(max_iter=limit)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.classifier.fit(rows, y)
        for warning in caught:
            if not issubclass(warning.category, ConvergenceWarning):
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        return not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)


@dataclass
class _OnePoint:
    """An estimator that cannot be watched."""

    estimator: Estimator
    converged: None = None
    max_iterations: int = 1

    def fit_iterations(
        self,
        X: Any,  # noqa: N803
        y: NDArray[np.int8],
        *,
        iterations: int,
        watched: Sequence[Any],
    ) -> Iterator[Iterate]:
        self.estimator.fit(X, y)
        yield Iterate(1, tuple(true_probabilities(self.estimator.predict_proba(matrix)) for matrix in watched))


def _ladder(top: int) -> list[int]:
    """1, 2, 4, 8, ... and `top`: the refits before the last one take about as many steps as the last one does."""
    return [*(2**power for power in range(top.bit_length()) if 2**power < top), top]
