"""Holdouts made by hand: units of equal size, with scores that are right to a chosen degree."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from gitrain.evaluation.estimates import Resampling
from gitrain.gates.measurements import Holdout

MakeRows = Callable[..., tuple[Holdout, NDArray[np.float64]]]


@pytest.fixture
def resampling() -> Resampling:
    return Resampling(replicates=400, seed=0, confidence=0.95)


@pytest.fixture
def make_rows() -> MakeRows:
    """Rows of a logistic world: `skill` is the weight of what the model knows, 0 is none."""

    def make(
        *, units: int = 30, rows: int = 60, skill: float = 2.0, seed: int = 0
    ) -> tuple[Holdout, NDArray[np.float64]]:
        generator = np.random.default_rng(seed)
        blocks = np.repeat(np.arange(units), rows)
        signal = generator.normal(size=blocks.size)
        labels = (generator.random(blocks.size) < 1 / (1 + np.exp(1 - 2 * signal))).astype(np.int8)
        noise = generator.normal(size=blocks.size)
        scores = 1 / (1 + np.exp(1 - skill * signal - (2 - skill) * noise))
        return Holdout(labels=labels, blocks=blocks, units=units), scores

    return make
