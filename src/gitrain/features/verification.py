"""Proofs, on a project's own data, that its features are what their definitions say and know nothing of the future."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, get_args

import numpy as np
import polars as pl

from gitrain.errors import FeatureError
from gitrain.features.brute_force import brute_force
from gitrain.features.comparison import Comparison
from gitrain.features.definitions import FeatureSet
from gitrain.features.engine import compute_features, decision_times
from gitrain.features.history import prepare_history
from gitrain.features.scramble import Strength, scramble_future
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["BRUTE_FORCE", "FUTURE", "INCREMENTAL", "ROW_BY_ROW", "Compute", "Sample", "verify_samples"]

Compute = Callable[[FeatureSet, pl.DataFrame, Mapping[str, pl.DataFrame]], pl.DataFrame]

FUTURE = "features:future-scrambled"
BRUTE_FORCE = "features:brute-force"
ROW_BY_ROW = "features:row-by-row"
INCREMENTAL = "features:incremental"

# From the wildest to the mildest.
_STRENGTHS: tuple[Strength, ...] = get_args(Strength)
# Where a batch is cut, as shares of its rows in the order of their decisions.
_CUTS = ((0.15, 0.5), (0.5, 0.85))


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One batch to prove things on.

    Attributes:
        batch: its name.
        entities: its rows: the key and the columns known in advance.
        tables: for each history, the rows of its table that the batch is computed from.
        wider: the same with batches before and after those.
    """

    batch: str
    entities: pl.DataFrame
    tables: Mapping[str, pl.DataFrame]
    wider: Mapping[str, pl.DataFrame]


def verify_samples(
    features: FeatureSet, samples: Iterable[Sample], *, rows: int, seed: int, compute: Compute = compute_features
) -> list[Verdict]:
    """Four verdicts on a set of features.

    * ``features:future-scrambled``: whatever is not known at a cut-off is changed, taken out or repeated; the features
      of decisions until then stay the same, while those of later decisions change.
    * ``features:brute-force``: rows drawn at random, computed one by one from the definitions, agree with the engine.
    * ``features:row-by-row``: fewer rows or another order of rows, of entities and of histories, change no value.
    * ``features:incremental``: more history than a batch needs changes no value.

    Args:
        features: the definitions.
        samples: the batches, one after the other.
        rows: how many rows of each are computed by brute force.
        seed: decides cut-offs, samples and what the future is changed into.
        compute: the engine on trial.

    Raises:
        FeatureError: the features of the data as it is cannot be computed.
    """
    random = np.random.default_rng(seed)
    checks = _Checks(features, compute, random)
    for sample in samples:
        checks.judge(sample, rows)
    return checks.verdicts()


@dataclass
class _Checks:
    features: FeatureSet
    compute: Compute
    random: np.random.Generator
    future: Comparison = field(default_factory=Comparison)
    brute: Comparison = field(default_factory=Comparison)
    single: Comparison = field(default_factory=Comparison)
    wide: Comparison = field(default_factory=Comparison)
    scrambled: int = 0
    changed_later: int = 0
    cutoffs: int = 0
    # The mildest way of scrambling that had to do, as a place in _STRENGTHS.
    strength: int = 0

    def judge(self, sample: Sample, rows: int) -> None:
        histories = self._prepared(sample.tables)
        expected = self._compute(sample.entities, histories)
        self._brute_force(sample, expected, rows)
        self._row_by_row(sample, expected)
        if self.features.histories and sample.entities.height:
            wider = self._compute(sample.entities, self._prepared(sample.wider))
            self.wide.add(expected, wider, self._labels(sample, "from more history"))
            for low, high in _CUTS:
                self._scramble(sample, expected, self.random.uniform(low, high))

    def verdicts(self) -> list[Verdict]:
        return [self._future_verdict(), self._brute_verdict(), self._single_verdict(), self._wide_verdict()]

    def _prepared(self, tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
        return {
            history.name: prepare_history(self.features, history, tables[history.name])
            for history in self.features.histories
        }

    def _compute(self, entities: pl.DataFrame, histories: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        return self.compute(self.features, entities.select(self.features.entity.known_in_advance), histories)

    def _labels(self, sample: Sample, otherwise: str, places: "np.ndarray[Any, Any] | None" = None) -> "_Labels":
        return _Labels(self.features, sample, otherwise, places)

    def _brute_force(self, sample: Sample, expected: pl.DataFrame, rows: int) -> None:
        places = np.sort(self.random.permutation(expected.height)[:rows])
        naive = brute_force(self.features, sample.entities, sample.tables, places.tolist())
        self.brute.add_values(expected[places], naive, self._labels(sample, "by brute force", places))

    def _row_by_row(self, sample: Sample, expected: pl.DataFrame) -> None:
        height = expected.height
        order = self.random.permutation(height)
        for places in (order, np.sort(order[: height // 2]), *order[:3].reshape(-1, 1)):
            alone = self._compute(sample.entities[places], self._prepared(sample.tables))
            self.single.add(expected[places], alone, self._labels(sample, "among other rows", places))
        if not self.features.histories:
            return
        for pieces in (1, 2):
            apart = {name: self._in_pieces(name, table, pieces) for name, table in sample.tables.items()}
            self.single.add(
                expected, self._compute(sample.entities, apart), self._labels(sample, "from history in another order")
            )

    def _in_pieces(self, name: str, table: pl.DataFrame, pieces: int) -> pl.DataFrame:
        shuffled = table[self.random.permutation(table.height)]
        history = self.features.history(name)
        return pl.concat(
            [prepare_history(self.features, history, shuffled.gather_every(pieces, offset)) for offset in range(pieces)]
        )

    def _scramble(self, sample: Sample, expected: pl.DataFrame, share: float) -> None:
        decisions = decision_times(self.features.entity, sample.entities.select(self.features.entity.known_in_advance))
        ordered = decisions.sort()
        cutoff = ordered[min(int(share * len(ordered)), len(ordered) - 1)]
        early = (decisions <= cutoff).to_numpy()
        # Rows of the future are the future too: some are left out, some stand twice.
        copies = np.where(early, 1, self.random.choice([0, 1, 2], size=len(early)))
        places = np.repeat(np.arange(len(early)), copies)
        actual, problem = self._with_another_future(sample, places, cutoff)
        self.cutoffs += 1
        if actual is None:
            self.future.broken.append(f"with another future after {cutoff} batch {sample.batch} fails: {problem}")
            return
        known = early[places]
        labels = self._labels(sample, f"with another future after {cutoff}", places[known])
        self.future.add(expected[places[known]], actual.filter(known), labels)
        later = Comparison()
        later.add(expected[places[~known]], actual.filter(~known), labels)
        self.changed_later += later.mismatches

    def _with_another_future(
        self, sample: Sample, places: "np.ndarray[Any, Any]", cutoff: datetime
    ) -> tuple[pl.DataFrame | None, str]:
        problem = ""
        entity = self.features.entity
        # Expressions may refuse values that cannot be; then the future is made of ones that can.
        for place, strength in enumerate(_STRENGTHS):
            tables, count = {}, 0
            try:
                for history in self.features.histories:
                    keep = entity.known_in_advance if history.table == entity.table else ()
                    tables[history.name], changed = scramble_future(
                        history, sample.tables[history.name], cutoff, keep=keep, strength=strength, random=self.random
                    )
                    count += changed
                found = self._compute(sample.entities[places], self._prepared(tables))
            except (FeatureError, pl.exceptions.PolarsError) as error:
                problem = error.what if isinstance(error, FeatureError) else " ".join(str(error).split())
                continue
            self.scrambled += count
            self.strength = max(self.strength, place)
            return found, ""
        return None, problem

    def _future_verdict(self) -> Verdict:
        figures: dict[str, Figure] = {
            "cut_offs": self.cutoffs,
            "scrambled_rows": self.scrambled,
            "scrambled_with": _STRENGTHS[self.strength],
            "changed_later": self.changed_later,
        }
        if not self.features.histories:
            return Verdict(name=FUTURE, outcome=Outcome.PASSED, reason=_NO_HISTORIES, figures=figures)
        if self.future.failed or self.changed_later:
            return self.future.verdict(
                FUTURE,
                passed="features known at {cut_offs} cut-offs are the same whatever comes after them",
                failed="features depend on what is not known at the decision",
                more=figures,
            )
        return Verdict(
            name=FUTURE,
            outcome=Outcome.INCONCLUSIVE,
            reason="changing the future changed no feature at all, not even later ones: this shows nothing",
            figures={**self.future.figures, **figures},
        )

    def _brute_verdict(self) -> Verdict:
        return self.brute.verdict(
            BRUTE_FORCE,
            passed="the engine agrees with the definitions, taken row by row",
            failed="the engine disagrees with the definitions, taken row by row",
        )

    def _single_verdict(self) -> Verdict:
        return self.single.verdict(
            ROW_BY_ROW,
            passed="no value depends on which other rows are computed with it, or on their order",
            failed="values depend on which other rows are computed with them, or on their order",
        )

    def _wide_verdict(self) -> Verdict:
        if not self.features.histories:
            return Verdict(name=INCREMENTAL, outcome=Outcome.PASSED, reason=_NO_HISTORIES)
        return self.wide.verdict(
            INCREMENTAL,
            passed="a batch and its look-back give what all of the history gives",
            failed="more history than a batch looks back on changes its features",
        )


_NO_HISTORIES = "the project has no histories: a feature depends on its own row and on no other time"


@dataclass(frozen=True)
class _Labels:
    """What a reader needs to find a row again."""

    features: FeatureSet
    sample: Sample
    otherwise: str
    places: "np.ndarray[Any, Any] | None"

    def __call__(self, place: int) -> str:
        row = int(place if self.places is None else self.places[place])
        key = {
            name: str(value) for name, value in self.sample.entities.row(row, named=True).items() if name in self._key
        }
        shown = ", ".join(f"{name}={value}" for name, value in key.items())
        return f"{shown} (batch {self.sample.batch}), {self.otherwise}"

    @property
    def _key(self) -> tuple[str, ...]:
        return self.features.entity.key
