"""The row rules of a contract, judged for the few rows of a request."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from gitrain.data.contracts import TableContract
from gitrain.online.given_rows import GivenRows, can_be_remembered, is_short, names_what_it_reads
from gitrain.serving.problems import Problem, shortened, shown_as_json

__all__ = ["RowRules", "plain"]

# Of the values that a rule reads: a timetable has few pairs of airports, and a flight is asked for again and again.
_MOST_REMEMBERED = 4096


class RowRules:
    """Judges rows by the rules of a contract. Safe to use from several threads.

    To enter Polars costs as much as ten look-ups of a group, and a rule is a function of one row: values that kept it
    once keep it again.

    Args:
        contract: of the rows.
    """

    def __init__(self, contract: TableContract) -> None:
        self._rules = {f"rule {number}": name for number, name in enumerate(contract.row_rules)}
        # Compiled once: one call of Polars judges all rows by all rules.
        self._kept = [rule.fill_null(True).alias(f"rule {n}") for n, rule in enumerate(contract.row_rules.values())]
        self._read = {name: frozenset(rule.meta.root_names()) for name, rule in contract.row_rules.items()}
        self._kept_before = _memory(contract, [tuple(sorted(names)) for names in self._read.values()])

    @property
    def names(self) -> tuple[str, ...]:
        """What the rules say."""
        return tuple(self._rules.values())

    def broken(self, rows: GivenRows) -> Mapping[int, tuple[Problem, ...]]:
        """For each row that breaks a rule what is wrong with it; rows are counted from 0."""
        if not self._kept or not rows.height:
            return {}
        if self._kept_before is None:
            return self._computed(rows.frame)
        read = [(known, list(zip(*map(rows.values, names), strict=True))) for names, known in self._kept_before.items()]
        if all(known.issuperset(values) for known, values in read):
            return {}
        broken = self._computed(rows.frame)
        for known, values in read:
            if len(known) > _MOST_REMEMBERED:
                known.clear()
            known.update(value for index, value in enumerate(values) if index not in broken and is_short(value))
        return broken

    def _computed(self, frame: pl.DataFrame) -> dict[int, tuple[Problem, ...]]:
        try:
            kept = frame.select_seq(self._kept)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            if frame.height > 1:
                # One odd row is no reason to refuse its neighbours, which may be another client's.
                alone = ((index, self._computed(frame.slice(index, 1))) for index in range(frame.height))
                return {index: found[0] for index, found in alone if found}
            reason = f"cannot be judged by the contract's rules: {' '.join(str(error).split())[:200]}"
            return {0: (Problem(field="", reason=reason),)}
        broken: dict[int, tuple[Problem, ...]] = {}
        for column in kept.iter_columns():
            if column.all():
                continue
            name = self._rules[column.name]
            read = [each for each in frame.columns if each in self._read[name]]
            # A rule over literals alone has one answer for all rows.
            places = (~column).arg_true().to_list() if column.len() == frame.height else range(frame.height)
            for index in places:
                values = frame.select(read).row(index, named=True)
                told = ", ".join(f"{each} = {shown_as_json(plain(value))}" for each, value in values.items())
                problem = Problem(field="", reason=f"must keep the rule: {name}", value=shortened(told))
                broken[index] = (*broken.get(index, ()), problem)
        return broken


def plain(value: object) -> object:
    """A value of a frame as JSON can have it: dates and times as text."""
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _memory(
    contract: TableContract, groups: list[tuple[str, ...]]
) -> dict[tuple[str, ...], set[tuple[Any, ...]]] | None:
    """A set for each group of columns that a rule reads; None if there are rules whose rows cannot be remembered."""
    if not all(map(names_what_it_reads, contract.row_rules.values())):
        return None
    if all(names and all(can_be_remembered(contract.dtypes[name]) for name in names) for names in groups):
        return {names: set() for names in groups}
    return None
