"""Training-serving skew: what models were given in service, against the same features computed as in training."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["FeatureSkew", "compare_features", "judge_skew"]


@dataclass(frozen=True, kw_only=True)
class FeatureSkew:
    """One feature.

    Attributes:
        name: the feature.
        rows: how many were compared.
        different: how many are not equal, to the last bit; both unknown is equal.
        largest: the largest difference of two numbers; None without one.
    """

    name: str
    rows: int
    different: int
    largest: float | None


def compare_features(logged: pl.DataFrame, computed: pl.DataFrame) -> list[FeatureSkew]:
    """Compare the columns that both frames have, row by row.

    Args:
        logged: what models were given.
        computed: the same rows, computed as in training; the types of `feature_matrix`.
    """
    found = []
    for name in computed.columns:
        if name not in logged.columns:
            continue
        ours, theirs = logged[name], computed[name]
        if theirs.dtype.is_float():
            ours, theirs = ours.cast(pl.Float64).fill_nan(None), theirs.fill_nan(None)
        different = int(ours.ne_missing(theirs).sum())
        largest = None
        if different and theirs.dtype.is_float():
            gap = (ours - theirs).abs().max()
            largest = float(gap) if isinstance(gap, float) else None
        found.append(FeatureSkew(name=name, rows=ours.len(), different=different, largest=largest))
    return found


def judge_skew(found: Sequence[FeatureSkew], *, why_not: str) -> list[Verdict]:
    """A verdict for each feature that differs, else one for all.

    Args:
        found: what was compared.
        why_not: why nothing was, where it was not.
    """
    compared = [each for each in found if each.rows]
    if not compared:
        return [Verdict(name="skew:all", outcome=Outcome.INCONCLUSIVE, reason=why_not)]
    rows = max(each.rows for each in compared)
    different = sorted((each for each in compared if each.different), key=lambda each: (-each.different, each.name))
    if not different:
        return [
            Verdict(
                name="skew:all",
                outcome=Outcome.PASSED,
                reason=f"{len(compared)} features of {rows:,} rows are what training computes, to the last bit",
                figures={"rows": rows, "features": len(compared)},
            )
        ]
    verdicts = []
    for each in different:
        share = each.different / each.rows
        figures: dict[str, Figure] = {
            "rows": each.rows,
            "different": each.different,
            "share": share,
            "largest": each.largest,
        }
        by = f", by {each.largest:.4g} at most" if each.largest is not None else ""
        verdicts.append(
            Verdict(
                name=f"skew:{each.name}",
                outcome=Outcome.FAILED,
                reason=f"{share:.1%} of {each.rows:,} rows are not what training computes{by}",
                figures=figures,
            )
        )
    return verdicts
