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
        days: how many days the rows are of.
        wrong: on which of these any is different, in order.
    """

    name: str
    rows: int
    different: int
    largest: float | None
    days: int
    wrong: tuple[str, ...]


def compare_features(logged: pl.DataFrame, computed: pl.DataFrame, day: pl.Series) -> list[FeatureSkew]:
    """Compare the columns that both frames have, row by row.

    Args:
        logged: what models were given.
        computed: the same rows, computed as in training; the types of `feature_matrix`.
        day: the name of each row's day, in categories that are in order.
    """
    found, days = [], day.n_unique()
    for name in computed.columns:
        if name not in logged.columns:
            continue
        ours, theirs = logged[name], computed[name]
        if theirs.dtype.is_float():
            ours, theirs = ours.cast(pl.Float64).fill_nan(None), theirs.fill_nan(None)
        differs = ours.ne_missing(theirs)
        different = int(differs.sum())
        largest = None
        if different and theirs.dtype.is_float():
            gap = (ours - theirs).abs().max()
            largest = float(gap) if isinstance(gap, float) else None
        wrong = tuple(day.filter(differs).unique().sort().cast(pl.String).to_list()) if different else ()
        found.append(
            FeatureSkew(name=name, rows=ours.len(), different=different, largest=largest, days=days, wrong=wrong)
        )
    return found


def judge_skew(found: Sequence[FeatureSkew], *, days: str = "", why_not: str) -> list[Verdict]:
    """A verdict for each feature that differs, else one for all.

    Args:
        found: what was compared.
        days: of the rows, in words.
        why_not: why nothing was, where it was not.
    """
    compared = [each for each in found if each.rows]
    if not compared:
        return [Verdict(name="skew:all", outcome=Outcome.INCONCLUSIVE, reason=why_not)]
    rows = max(each.rows for each in compared)
    different = sorted((each for each in compared if each.different), key=lambda each: (-each.different, each.name))
    of = f" of {days}" if days else ""
    if not different:
        return [
            Verdict(
                name="skew:all",
                outcome=Outcome.PASSED,
                reason=f"{len(compared)} features of {rows:,} rows{of} are what training computes, to the last bit",
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
            "days": each.days,
            "wrong_days": len(each.wrong),
        }
        by = f", by {each.largest:.4g} at most" if each.largest is not None else ""
        on = " to ".join(dict.fromkeys((each.wrong[0], each.wrong[-1])))
        verdicts.append(
            Verdict(
                name=f"skew:{each.name}",
                outcome=Outcome.FAILED,
                reason=f"{share:.1%} of {each.rows:,} rows{of} are not what training computes{by}; they are of"
                f" {len(each.wrong)} of {each.days} days, {on}",
                figures=figures,
            )
        )
    return verdicts
