"""Compares features computed in two ways, and remembers where they differ."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["Comparison"]

# Sums of floats are exact but for the last bit in the engine, and so are those of the naive code.
_TOLERANCE = 1e-12


class Comparison:
    """A running count of values compared and of those that differ, by feature."""

    def __init__(self) -> None:
        self.rows = 0
        self.values = 0
        self.broken: list[str] = []
        self._by_feature: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    @property
    def mismatches(self) -> int:
        """How many values differ."""
        return self._by_feature.total()

    @property
    def failed(self) -> bool:
        """Whether anything differs, or could not even be computed."""
        return bool(self.mismatches or self.broken)

    def add(self, expected: pl.DataFrame, actual: pl.DataFrame, label: Callable[[int], str]) -> None:
        """Compare two frames exactly, column by column; `label` describes a row by its place."""
        self.rows += expected.height
        for name in expected.columns:
            ours, theirs = expected[name], actual[name]
            self.values += len(ours)
            if ours.dtype != theirs.dtype or len(ours) != len(theirs):
                self.broken.append(
                    f"{name} is {len(ours)} values of {ours.dtype} and then {len(theirs)} of {theirs.dtype}"
                )
                continue
            different = ours.ne_missing(theirs)
            if count := int(different.sum()):
                place = int(different.arg_max() or 0)
                self._note(name, count, f"{label(place)}: {ours[place]!r} became {theirs[place]!r}")

    def add_values(self, expected: pl.DataFrame, actual: Mapping[str, list[Any]], label: Callable[[int], str]) -> None:
        """Compare a frame with lists of values; floats may differ in the last bits."""
        self.rows += expected.height
        for name in expected.columns:
            self.values += expected.height
            for place, (ours, theirs) in enumerate(zip(expected[name], actual[name], strict=True)):
                if not _close(ours, theirs):
                    self._note(name, 1, f"{label(place)}: {ours!r}, and {theirs!r} is right")

    @property
    def figures(self) -> dict[str, Figure]:
        """The counts, and the worst feature with an example."""
        found: dict[str, Figure] = {"rows": self.rows, "values": self.values, "mismatches": self.mismatches}
        if self._by_feature:
            worst, count = self._by_feature.most_common(1)[0]
            found |= {"worst_feature": worst, "worst_mismatches": count, "example": self._examples[worst]}
        return found

    def verdict(self, name: str, *, passed: str, failed: str, more: Mapping[str, Figure] | None = None) -> Verdict:
        """PASSED without a difference, FAILED with one, INCONCLUSIVE where nothing was compared."""
        figures = {**self.figures, **(more or {})}
        if self.failed:
            outcome, reason = Outcome.FAILED, f"{failed}: {self._evidence()}"
        elif not self.rows:
            outcome, reason = Outcome.INCONCLUSIVE, "there are no rows to compare"
        else:
            outcome, reason = Outcome.PASSED, passed.format(**figures)
        return Verdict(name=name, outcome=outcome, reason=reason, figures=figures)

    def _evidence(self) -> str:
        if not self._by_feature:
            return self.broken[0]
        worst, count = self._by_feature.most_common(1)[0]
        others = len(self._by_feature) - 1
        rest = f" and {others} more features" if others else ""
        return f"{count:,} values of {worst}{rest}; for example {self._examples[worst]}"

    def _note(self, name: str, count: int, example: str) -> None:
        self._by_feature[name] += count
        self._examples.setdefault(name, example)


def _close(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float | int):
        return math.isclose(ours, theirs, rel_tol=_TOLERANCE) or (math.isnan(ours) and math.isnan(theirs))
    return bool(ours == theirs)
