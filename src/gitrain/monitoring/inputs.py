"""Live rows by the contract: what was asked, and what was made of it."""

import polars as pl

from gitrain.data.batches import BatchScheme
from gitrain.data.contracts import TableContract
from gitrain.data.row_checks import judge_rows
from gitrain.data.validation import validate
from gitrain.features.definitions import FeatureSet
from gitrain.monitoring.logged import DAY, MonitoredRows
from gitrain.monitoring.recent import names_of_days, rows_by_day, worst_day
from gitrain.serving.requests import known_contract
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = ["judge_features", "judge_inputs"]

_SHOWN = 3


def judge_inputs(rows: MonitoredRows, features: FeatureSet, contract: TableContract, scheme: BatchScheme) -> Verdict:
    """The columns known in advance, by the contract of the entity's table, as far as it speaks of them.

    Rows that break it are no more than the contract lets go to quarantine of any batch, in all and on every day.
    """
    return _judged(
        "data:contract",
        rows.known,
        rows.frame[DAY],
        known_contract(features.entity, contract),
        scheme,
        table=features.entity.table,
        share=contract.max_quarantined_share,
    )


def judge_features(
    rows: MonitoredRows, features: pl.DataFrame, contract: TableContract, scheme: BatchScheme
) -> Verdict:
    """The features that models were given, by the feature contract, as far as it speaks of their rows.

    Args:
        rows: what was predicted.
        features: of the same rows.
        contract: of all features.
        scheme: of the project.
    """
    columns = {name: column for name, column in contract.schema.columns.items() if name in features.columns}
    judged = TableContract(
        schema=type(contract.schema)(columns),
        row_rules={
            name: rule for name, rule in contract.row_rules.items() if set(rule.meta.root_names()) <= set(columns)
        },
        max_null_share={name: 1.0 for name in columns},
        rows=(0, None),
        max_quarantined_share=1.0,
        non_finite=[name for name in contract.non_finite if name in columns],
    )
    # Models take all numbers as floats; the contract has the types of the table.
    typed = features.select(pl.col(name).cast(judged.dtypes[name], strict=False) for name in columns)
    share = contract.max_quarantined_share
    return _judged("data:features", typed, rows.frame[DAY], judged, scheme, table="features", share=share)


def _judged(
    name: str,
    frame: pl.DataFrame,
    day: pl.Series,
    contract: TableContract,
    scheme: BatchScheme,
    *,
    table: str,
    share: float,
) -> Verdict:
    if not frame.height or not frame.width:
        return Verdict(name=name, outcome=Outcome.INCONCLUSIVE, reason="there are no rows to judge")
    result = validate(frame, contract, table=table, batch=None, scheme=scheme)
    broken = result.quarantined.height
    broken_share = broken / frame.height
    findings = [finding.message for finding in result.findings if finding.severity != "warn"]
    failing = [finding.message for finding in result.findings if finding.severity == "fail"]
    figures: dict[str, Figure] = {"rows": frame.height, "broken": broken, "share": broken_share, "limit": share}
    said = f": {'; '.join(findings[:_SHOWN])}" if findings else ""
    worst = None
    if broken:
        bad = day.filter(_broken(frame, contract))
        worst = worst_day(names_of_days(day), rows_by_day(day), rows_by_day(bad), share)
        if worst is not None and worst.share:
            figures |= {"worst_day": worst.day, "worst_day_share": worst.share}
    outcome = Outcome.FAILED
    if failing or broken_share > share:
        reason = f"{broken:,} of {frame.height:,} rows break the contract"
    elif worst is not None and worst.beyond:
        reason = f"{worst.share:.2%} of {worst.rows:,} rows of {worst.day} break the contract, and {share:.2%} may"
    else:
        outcome = Outcome.PASSED
        reason = f"{broken:,} of {frame.height:,} rows break the contract, and {share:.2%} may"
    return Verdict(name=name, outcome=outcome, reason=reason + said, figures=figures)


def _broken(frame: pl.DataFrame, contract: TableContract) -> pl.Series:
    """Whether a row is one that `validate` would put into quarantine."""
    usable = [name for name, dtype in contract.dtypes.items() if frame.schema.get(name) == dtype]
    rules = [rule.broken for rule in judge_rows(frame, contract, usable).broken if not rule.warns]
    masks = pl.DataFrame({str(place): mask for place, mask in enumerate(rules)})
    return masks.select(pl.any_horizontal(pl.all())).to_series()
