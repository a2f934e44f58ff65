"""How the data of a tree differs from the base's: batches, rows, nulls and the distributions of features.

Distributions are compared by the population stability index (PSI), the sum over bins of
``(p - q) * ln(p / q)``; see B. Yurdakul, "Statistical Properties of Population Stability Index" (2018). Fixed limits
such as 0.2 mean little: rows of one unit (a day) are alike, and so are days in a row, so that any few of them differ
from all others. So each PSI stands beside the one that runs of as many whole units of the base's own data reach.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from gitrain.checks.catalogue import CheckDefinition
from gitrain.documents import Document, Section
from gitrain.pipeline.lock import Lock

__all__ = [
    "CHECKS",
    "CONTRACT",
    "EARLIER_BATCHES",
    "BatchDifference",
    "Bins",
    "DataDifference",
    "FeatureDifference",
    "Status",
    "causes_of_change",
    "changed_members",
    "feature_difference",
    "make_bins",
    "null_shares",
    "population_stability",
    "unit_counts",
]

CONTRACT = "data:contract"
EARLIER_BATCHES = "data:earlier-batches"
CHECKS = (
    CheckDefinition(
        name=CONTRACT,
        group="data",
        catches="a batch that breaks the data contract, or a validation report that is not about this data",
    ),
    CheckDefinition(
        name=EARLIER_BATCHES,
        group="data",
        catches="an earlier batch whose content changed although neither its code nor its contract did",
    ),
)

Status = Literal["added", "removed", "changed"]

_BINS = 10
_CATEGORIES = 30
_QUANTILE = 0.95
# Empty bins would make the index infinite.
_LEAST_SHARE = 1e-4


class BatchDifference(Section):
    """One batch of one table that the base has not, or has otherwise.

    Attributes:
        table: the table's name.
        batch: the batch's name; None for a table without batches.
        status: against the base.
        rows: of the validated batch; None where it is not at hand, or was removed.
        rows_before: of the base's batch, likewise.
        null_shares: by column, 0 to 1, of columns with nulls.
        null_shares_before: of the base's batch, or of its newest one where this one is new.
    """

    table: str
    batch: str | None
    status: Status
    rows: int | None = None
    rows_before: int | None = None
    null_shares: dict[str, float] = Field(default_factory=dict)
    null_shares_before: dict[str, float] = Field(default_factory=dict)


class FeatureDifference(Section):
    """The distribution of one feature in the batches that are new or changed, against all of the base's.

    Attributes:
        name: the feature's.
        psi: the population stability index.
        psi_of_units: what 95 % of the runs of as many units of the base's own stay below; None with too few units.
        null_share_before: in the base's rows, 0 to 1.
        null_share: in the others.
        mean_before: of a number in the base's rows; None for categories.
        mean: in the others.
    """

    name: str
    psi: float
    psi_of_units: float | None
    null_share_before: float
    null_share: float
    mean_before: float | None = None
    mean: float | None = None

    @property
    def unusual(self) -> bool:
        """Whether the difference is larger than that of the base's own units among themselves."""
        return self.psi_of_units is not None and self.psi > self.psi_of_units


class DataDifference(Document):
    """How the data differs from the base's; figures for a reviewer, not a verdict.

    Attributes:
        base: the full hash of the base commit; None if none was named.
        batches: what was added, removed or changed, table by table.
        unit: what is looked at as a whole.
        units: of the new and changed rows.
        units_before: of the base's rows.
        rows: the rows of features that are new or changed.
        rows_before: of the base's features.
        features: in the order of the size of the index, the largest first.
        reason: why something could not be compared.
    """

    base: str | None
    batches: tuple[BatchDifference, ...] = ()
    unit: str
    units: int = 0
    units_before: int = 0
    rows: int = 0
    rows_before: int = 0
    features: tuple[FeatureDifference, ...] = ()
    reason: str | None = None

    def to_json(self) -> str:
        """The document as text; equal differences give equal text."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def nothing(cls, base: str | None, unit: str, reason: str | None) -> Self:
        """Nothing was compared."""
        return cls(schema_version=1, base=base, unit=unit, reason=reason)


@dataclass(frozen=True, kw_only=True)
class Bins:
    """How the values of one column are counted: the last bin is for nulls.

    Attributes:
        name: the column's.
        edges: of numbers, ascending: each has a bin of its own (many columns are mostly 0), and so has each space
            between; None for categories.
        values: the categories with a bin of their own; the bin after them is for all others.
    """

    name: str
    edges: NDArray[np.float64] | None
    values: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many bins there are."""
        return (2 * len(self.edges) + 1 if self.edges is not None else len(self.values) + 1) + 1

    def codes(self, values: pl.Series) -> NDArray[np.int64]:
        """The bin of each value, shape (rows,)."""
        if self.edges is not None:
            numbers = values.cast(pl.Float64).to_numpy()
            codes = np.searchsorted(self.edges, numbers, side="left") + np.searchsorted(
                self.edges, numbers, side="right"
            )
            missing = values.is_null().to_numpy() | np.isnan(numbers)
        else:
            known = {value: code for code, value in enumerate(self.values)}
            text = values.cast(pl.String)
            codes = text.replace_strict(known, default=len(known), return_dtype=pl.Int64).to_numpy().copy()
            missing = text.is_null().to_numpy()
        codes[missing] = self.count - 1
        return codes


def make_bins(sample: pl.Series, *, categorical: bool) -> Bins:
    """Bins of about equal size for numbers (deciles of the base's values), one a value for the commonest categories."""
    if categorical or not (sample.dtype.is_numeric() or sample.dtype == pl.Boolean):
        counts = sample.cast(pl.String).drop_nulls().value_counts(sort=True)
        common = counts.sort(["count", sample.name], descending=[True, False]).head(_CATEGORIES)[sample.name].to_list()
        return Bins(name=sample.name, edges=None, values=tuple(common))
    numbers = sample.cast(pl.Float64).drop_nulls().drop_nans().to_numpy()
    if not numbers.size:
        return Bins(name=sample.name, edges=np.zeros(0))
    inner = np.quantile(numbers, np.linspace(0, 1, _BINS + 1)[1:-1], method="inverted_cdf")
    return Bins(name=sample.name, edges=np.unique(inner))


def unit_counts(bins: Bins, values: pl.Series, units: pl.Series) -> tuple[list[str], NDArray[np.int64]]:
    """How many values of each unit lie in each bin.

    Returns:
        The units in order of their names, and counts of shape (units, bins).
    """
    names = units.cast(pl.String).fill_null("")
    order = names.unique().sort()
    index = names.replace_strict(order, pl.int_range(len(order), eager=True), return_dtype=pl.Int64).to_numpy()
    counts = np.zeros((len(order), bins.count), dtype=np.int64)
    np.add.at(counts, (index, bins.codes(values)), 1)
    return order.to_list(), counts


def population_stability(expected: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    """The population stability index of two arrays of counts, shape (bins,); 0 if they are distributed alike."""
    p, q = (np.clip(counts / max(counts.sum(), 1), _LEAST_SHARE, None) for counts in (expected, found))
    return float(np.sum((q - p) * np.log(q / p)))


def feature_difference(
    bins: Bins,
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    *,
    means: tuple[float | None, float | None] = (None, None),
) -> FeatureDifference:
    """Compare counts by unit and bin, shapes (units, bins), of the base's rows and of the others; units in their order.

    Args:
        bins: the bins.
        before: of the base.
        after: of the rows that are new or changed.
        means: of the numbers before and after.
    """
    whole = before.sum(axis=0)
    usual = None
    size = len(after)
    # A run of more than half of the units is like the whole by itself.
    if size and len(before) >= 2 * size:
        running = np.concatenate([np.zeros((1, before.shape[1]), dtype=np.int64), before.cumsum(axis=0)])
        runs = running[size:] - running[:-size]
        usual = float(np.quantile([population_stability(whole, run) for run in runs], _QUANTILE))
    total, other = int(whole.sum()), int(after.sum())
    return FeatureDifference(
        name=bins.name,
        psi=_rounded(population_stability(whole, after.sum(axis=0))),
        psi_of_units=None if usual is None else _rounded(usual),
        null_share_before=_rounded(whole[-1] / total if total else 0.0),
        null_share=_rounded(after[:, -1].sum() / other if other else 0.0),
        mean_before=_finite(means[0]),
        mean=_finite(means[1]),
    )


def null_shares(frame: pl.DataFrame) -> dict[str, float]:
    """The share of nulls of each column that has any."""
    counts = frame.null_count().row(0, named=True) if frame.width else {}
    return {name: _rounded(count / frame.height) for name, count in counts.items() if count}


def changed_members(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, Status]:
    """Files of a folder by path that were added, removed or changed, from their hashes."""
    found: dict[str, Status] = {}
    for path in sorted({*before, *after}):
        if path not in before:
            found[path] = "added"
        elif path not in after:
            found[path] = "removed"
        elif before[path] != after[path]:
            found[path] = "changed"
    return found


def causes_of_change(before: Lock, after: Lock, output: str, *, harmless: Sequence[str] = ()) -> list[str]:
    """What else the stage that writes `output` was run with: its command, parameters, and files of the tree.

    Args:
        before: the base's lock.
        after: this tree's.
        output: the path of the output.
        harmless: parameters that say which batches there are, and have no say in what a batch holds.
    """
    stages = [
        next((stage for stage in lock.stages.values() if any(out.path == output for out in stage.outs)), None)
        for lock in (before, after)
    ]
    old, new = stages
    if old is None or new is None:
        return ["the stage that writes it"]
    causes = ["its command"] if old.cmd != new.cmd else []
    made = {*before.outs, *after.outs}
    hashes = [{dep.path: dep.md5 for dep in stage.deps if dep.path not in made} for stage in (old, new)]
    causes += [path for path in sorted({*hashes[0], *hashes[1]}) if hashes[0].get(path) != hashes[1].get(path)]
    flat = [_flat(stage.params, harmless) for stage in (old, new)]
    causes += [key for key in sorted({*flat[0], *flat[1]}) if flat[0].get(key) != flat[1].get(key)]
    return causes


def _flat(params: Mapping[str, Mapping[str, object]], harmless: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}

    def walk(prefix: str, value: object) -> None:
        if isinstance(value, Mapping):
            for key, part in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), part)
        elif prefix not in harmless:
            found[prefix] = json.dumps(value, sort_keys=True, default=str)

    for values in params.values():
        walk("", values)
    return found


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else _rounded(value)
