"""What a project says of its model's behaviour: changes that must not matter, and changes that must.

Invariance and direction tests after Ribeiro et al., Beyond Accuracy: Behavioral Testing of NLP Models with CheckList
(ACL 2020).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.checks.catalogue import CheckDefinition
from gitrain.checks.extremes import kept_rows
from gitrain.data.contracts import TableContract
from gitrain.errors import ProjectError
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["BEHAVIOUR", "CHECKS", "Behaviour", "Direction", "Invariance", "behaviour_check", "judge_behaviour"]

#: Stands for `behaviour:` and the name of each behaviour that the project declares.
BEHAVIOUR = "behaviour:NAME"

CHECKS = (
    CheckDefinition(
        name=BEHAVIOUR,
        group="behaviour",
        catches="scores that move where the project says that they must not, or do not move the way that they must",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Invariance:
    """A change of a row that must not move its score.

    Attributes:
        name: lower-case words with hyphens; the check is ``behaviour:NAME``.
        change: feature to its new value, an expression over the features of the row.
        tolerance: by how much, as a probability, a score may move all the same.
        share: of the rows, the least whose score stays within the tolerance.
        start: changes that are made to both rows first.
        where: the rows that it is about, an expression over features; all rows by default.
    """

    name: str
    change: Mapping[str, pl.Expr]
    tolerance: float = 0.0
    share: float = 1.0
    start: Mapping[str, pl.Expr] = field(default_factory=dict)
    where: pl.Expr | None = None

    def __post_init__(self) -> None:
        _check(self)
        if not 0 <= self.tolerance < 1:
            raise ProjectError(f"behaviour {self.name!r} has the tolerance {self.tolerance}", fix="give 0 to below 1.")


@dataclass(frozen=True, kw_only=True)
class Direction:
    """A change of a row after which its score must go up, or down.

    Attributes:
        name: lower-case words with hyphens; the check is ``behaviour:NAME``.
        change: feature to its new value, an expression over the features of the row.
        direction: where scores must go.
        share: of the rows, the least whose score goes there.
        start: changes that are made to both rows first.
        where: the rows that it is about, an expression over features; all rows by default.
    """

    name: str
    change: Mapping[str, pl.Expr]
    direction: Literal["up", "down"]
    share: float = 0.95
    start: Mapping[str, pl.Expr] = field(default_factory=dict)
    where: pl.Expr | None = None

    def __post_init__(self) -> None:
        _check(self)
        if self.direction not in ("up", "down"):
            raise ProjectError(f"behaviour {self.name!r} has the direction {self.direction!r}", fix="use up or down.")


Behaviour = Invariance | Direction


def behaviour_check(behaviour: Behaviour) -> str:
    """The name of the check."""
    return f"behaviour:{behaviour.name}"


def judge_behaviour(
    behaviour: Behaviour,
    rows: pl.DataFrame,
    contract: TableContract,
    predict: Callable[[pl.DataFrame], NDArray[np.float64]],
) -> Verdict:
    """Change real rows, score both, and compare.

    Rows that the change leads out of the contract of the features say nothing, and are left out.

    Args:
        behaviour: what is said of the model.
        rows: real rows with all feature columns, in the types of the features.
        contract: of the features.
        predict: from rows of features to probabilities, shape (rows,).

    Raises:
        ProjectError: an expression that cannot be evaluated on the features.
    """
    before, after = _pairs(behaviour, rows, contract)
    figures: dict[str, Figure] = {"rows": before.height, "of": rows.height}
    name = behaviour_check(behaviour)
    if before.is_empty():
        reason = f"none of {rows.height:,} rows can be changed this way and keep the contract of the features"
        return Verdict(name=name, outcome=Outcome.INCONCLUSIVE, reason=reason, figures=figures)
    moves = predict(after) - predict(before)
    if isinstance(behaviour, Invariance):
        kept = np.abs(moves) <= behaviour.tolerance
        wanted = f"stays within {behaviour.tolerance:g}"
        figures["tolerance"] = behaviour.tolerance
    else:
        kept = moves > 0 if behaviour.direction == "up" else moves < 0
        wanted = f"goes {behaviour.direction}"
        figures["direction"] = behaviour.direction
    share = float(kept.mean())
    figures |= {
        "share": share,
        "least_share": behaviour.share,
        "median_move": float(np.median(moves)),
        "largest_move": float(moves[np.argmax(np.abs(moves))]),
    }
    passed = share >= behaviour.share
    reason = (
        f"the score {wanted} for {_percent(share)} of {before.height:,} rows, and has to for "
        f"{_percent(behaviour.share)}; the median move is {np.median(moves):+.3f}"
    )
    return Verdict(name=name, outcome=Outcome.PASSED if passed else Outcome.FAILED, reason=reason, figures=figures)


def _pairs(behaviour: Behaviour, rows: pl.DataFrame, contract: TableContract) -> tuple[pl.DataFrame, pl.DataFrame]:
    number = "__row"
    try:
        if behaviour.where is not None:
            rows = rows.filter(behaviour.where)
        before = _changed(rows.with_row_index(number), behaviour.start)
        after = _changed(before, behaviour.change)
    except pl.exceptions.PolarsError as error:
        raise ProjectError(
            f"behaviour {behaviour.name!r} cannot be evaluated on the features: {' '.join(str(error).split())[:300]}",
            fix="correct its expressions, or the types of what they give.",
        ) from error
    before, after = kept_rows(before, contract), kept_rows(after, contract)
    both = pl.Series(sorted(set(before[number]) & set(after[number])), dtype=pl.UInt32)
    return tuple(  # type: ignore[return-value]
        frame.filter(pl.col(number).is_in(both.implode())).sort(number).drop(number) for frame in (before, after)
    )


def _changed(rows: pl.DataFrame, change: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """All expressions see the row as it was before; the columns keep their types."""
    return rows.with_columns(expression.cast(rows.schema[name]).alias(name) for name, expression in change.items())


def _percent(share: float) -> str:
    # 99.97 % is not all of them.
    return f"{share:.0%}" if share in (0.0, 1.0) else f"{min(max(share, 0.0001), 0.9999):.2%}"


def _check(behaviour: Behaviour) -> None:
    words = behaviour.name.replace("-", "")
    if not (words and words.isascii() and words.isalnum() and words == words.lower()):
        raise ProjectError(
            f"a behaviour has the name {behaviour.name!r}", fix="use lower-case letters, digits and hyphens."
        )
    if not behaviour.change:
        raise ProjectError(f"behaviour {behaviour.name!r} changes nothing", fix="name a feature and its new value.")
    if not 0 < behaviour.share <= 1:
        raise ProjectError(f"behaviour {behaviour.name!r} has the share {behaviour.share}", fix="give above 0 up to 1.")
