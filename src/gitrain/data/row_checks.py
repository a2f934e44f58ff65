"""The rules that single rows can break, evaluated on a whole batch."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import pandera.polars as pa
import polars as pl
from pandera.api.base.checks import CheckResult

from gitrain.data.contracts import TableContract
from gitrain.errors import ProjectError

__all__ = ["BrokenRule", "RowJudgement", "describe", "judge_rows", "keeps_check"]

_LONGEST_DESCRIPTION = 160
# pandera's name for the column that a check's result is in.
_CHECK_OUTPUT = "check_output"


@dataclass(frozen=True, kw_only=True)
class BrokenRule:
    """A rule, and the rows that break it.

    Attributes:
        rule: its name.
        columns: the columns that it reads.
        text: what a good row keeps.
        warns: it warns only; the row stays.
        broken: true for the rows that break it, shape (rows,), without nulls.
        of_schema: it is a check of the whole schema, which may read any column.
    """

    rule: str
    columns: tuple[str, ...]
    text: str
    warns: bool
    broken: pl.Series
    of_schema: bool = False


@dataclass(frozen=True, kw_only=True)
class RowJudgement:
    """What the rules say of the rows.

    Attributes:
        broken: the rules that at least one row breaks.
        whole: the pandera checks that give one answer for a whole frame, with the columns they read; not judged yet.
    """

    broken: tuple[BrokenRule, ...]
    whole: tuple[tuple[tuple[str, ...], pa.Check], ...]


def judge_rows(frame: pl.DataFrame, contract: TableContract, usable: Collection[str]) -> RowJudgement:
    """Judge every row of `frame`.

    Args:
        frame: the rows.
        contract: whose rules.
        usable: the columns that exist and have the right type; rules that read others are passed over.

    Raises:
        ProjectError: a check or rule that cannot be computed, or that reads other rows than the one it judges.
    """
    if frame.height == 0:
        return RowJudgement(broken=(), whole=())
    broken = [*_nulls(frame, contract, usable), *_not_finite(frame, contract, usable)]
    whole = []
    for column, columns, check in _checks(contract, usable):
        output = _run(frame, check, column)
        if output is None:
            whole.append((columns, check))
        elif not output.all():
            broken.append(_broken_check(frame, check, column, columns, output))
    broken.extend(_row_rules(frame, contract, usable))
    return RowJudgement(broken=tuple(broken), whole=tuple(whole))


def keeps_check(frame: pl.DataFrame, columns: tuple[str, ...], check: pa.Check) -> bool:
    """Whether a frame keeps a check that gives one answer for all of it."""
    passed = _result(frame, check, columns[0] if len(columns) == 1 else None).check_passed.collect().item()
    return bool(passed)


def describe(check: pa.Check) -> str:
    """A check as a reader knows it, equal in every process: the values of a set have no order of their own."""
    statistics = check.statistics or {}
    for key in ("allowed_values", "forbidden_values", "values"):
        if key in statistics and check.registry_name is not None:
            values = ", ".join(sorted(repr(value) for value in statistics[key]))
            return _shortened(f"{check.registry_name}({values})")
    return _shortened(check.error or check.name or "check")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_DESCRIPTION else text[: _LONGEST_DESCRIPTION - 1] + "…"


def _nulls(frame: pl.DataFrame, contract: TableContract, usable: Collection[str]) -> list[BrokenRule]:
    found = []
    for name, column in contract.schema.columns.items():
        if name not in usable or column.nullable:
            continue
        series = frame.get_column(name)
        # As pandera has it, NaN in a column that is not nullable is a missing value.
        nan = name in contract.non_finite and series.is_nan().any()
        if series.null_count() or nan:
            broken = series.is_null() | series.is_nan().fill_null(True) if nan else series.is_null()
            found.append(
                BrokenRule(rule="not_null", columns=(name,), text="not null", warns=False, broken=broken),
            )
    return found


def _not_finite(frame: pl.DataFrame, contract: TableContract, usable: Collection[str]) -> list[BrokenRule]:
    names = [name for name in frame.columns if name in usable and name not in contract.non_finite]
    names = [name for name in names if frame.schema[name].is_float()]
    if not names:
        return []
    # A null gives null, and `all` passes over it.
    finite = frame.select(pl.col(name).is_finite().all() for name in names).row(0)
    return [
        BrokenRule(
            rule="finite",
            columns=(name,),
            text="finite",
            warns=False,
            broken=frame.get_column(name).is_finite().fill_null(True).not_(),
        )
        for name, passed in zip(names, finite, strict=True)
        if not passed
    ]


def _checks(contract: TableContract, usable: Collection[str]) -> Iterator[tuple[str | None, tuple[str, ...], pa.Check]]:
    for name, column in contract.schema.columns.items():
        if name in usable:
            for check in column.checks:
                yield name, (name,), check
    if set(contract.schema.columns) <= set(usable):
        for check in contract.schema.checks:
            yield None, tuple(contract.schema.columns), check


def _broken_check(
    frame: pl.DataFrame, check: pa.Check, column: str | None, columns: tuple[str, ...], output: pl.Series
) -> BrokenRule:
    def again(rows: pl.DataFrame) -> pl.Series | None:
        return _run(rows, check, column)

    broken = output.not_()
    _refuse_reading_other_rows(frame, broken, again, f"the check {describe(check)}")
    rule = check.registry_name or "check"
    return BrokenRule(
        rule=rule,
        columns=columns,
        text=describe(check),
        warns=bool(check.raise_warning),
        broken=broken,
        of_schema=column is None,
    )


def _run(frame: pl.DataFrame, check: pa.Check, column: str | None) -> pl.Series | None:
    """Whether each row keeps a check, without nulls; None if the check gives one answer for the whole frame."""
    result = _result(frame, check, column)
    output: pl.Series = result.check_output.collect().get_column(_CHECK_OUTPUT)
    if output.dtype != pl.Boolean:
        raise ProjectError(
            f"the check {describe(check)} gives {output.dtype}, not true or false",
            fix="correct the check in the contract's schema.",
        )
    # pandera has settled the nulls, by the check's `ignore_na`. A plain True or False comes without failure cases, an
    # aggregate with one row for all.
    if result.failure_cases is None or output.len() != frame.height:
        return None
    return output


def _result(frame: pl.DataFrame, check: pa.Check, column: str | None) -> CheckResult:
    try:
        return check(frame.lazy(), column)
    except Exception as error:
        where = f"column {column!r}" if column is not None else "the schema"
        raise ProjectError(
            f"the check {describe(check)} of {where} cannot be computed: "
            f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
            fix="correct the check in the contract's schema.",
        ) from error


def _row_rules(frame: pl.DataFrame, contract: TableContract, usable: Collection[str]) -> list[BrokenRule]:
    rules = {name: rule for name, rule in contract.row_rules.items() if set(rule.meta.root_names()) <= set(usable)}
    if not rules:
        return []
    kept = _rule_values(frame, rules, lambda rule: _kept(rule).all())
    found = []
    for name, rule in rules.items():
        if kept.get_column(name).all():
            continue
        one = {name: rule}
        broken = _rule_values(frame, one, _kept).get_column(name).not_()
        if broken.len() != frame.height:
            _raise_reading_other_rows(f"row rule {name!r}")

        def again(rows: pl.DataFrame, one: dict[str, pl.Expr] = one) -> pl.Series:
            return _rule_values(rows, one, _kept).to_series()

        _refuse_reading_other_rows(frame, broken, again, f"row rule {name!r}")
        roots = set(rule.meta.root_names())
        columns = tuple(column for column in contract.schema.columns if column in roots)
        found.append(BrokenRule(rule=f"row_rule:{name}", columns=columns, text=name, warns=False, broken=broken))
    return found


def _kept(rule: pl.Expr) -> pl.Expr:
    return rule.fill_null(True)


def _rule_values(frame: pl.DataFrame, rules: dict[str, pl.Expr], shape: Callable[[pl.Expr], pl.Expr]) -> pl.DataFrame:
    try:
        return frame.select(shape(rule).alias(name) for name, rule in rules.items())
    except pl.exceptions.PolarsError as error:
        raise ProjectError(
            f"the row rules {', '.join(map(repr, rules))} cannot be computed: {' '.join(str(error).split())[:300]}",
            fix="correct the row rules of the contract.",
        ) from error


def _refuse_reading_other_rows(
    frame: pl.DataFrame, broken: pl.Series, keeps: Callable[[pl.DataFrame], pl.Series | None], rule: str
) -> None:
    """A rule over means or neighbours judges a row differently when good rows are gone: then nothing is settled."""
    kept = keeps(frame.filter(broken))
    if kept is not None and kept.any():
        _raise_reading_other_rows(rule)


def _raise_reading_other_rows(rule: str) -> None:
    raise ProjectError(
        f"{rule} of the contract depends on other rows than the one that it judges",
        fix="write it over the columns of one row; bounds of a whole batch go into `typical` or `rows`.",
    )
