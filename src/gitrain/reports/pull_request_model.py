"""What the report on a pull request says of the model: metrics, slices, the curve of its training, its calibration."""

import math
from collections.abc import Sequence

from gitrain.evaluation.comparison import EvaluationComparison, MetricComparison, SliceMove
from gitrain.evaluation.document import CalibrationBin, Estimate
from gitrain.reports.markdown import escape, format_figure, table
from gitrain.reports.mermaid import COLOURS, Plot, xy_chart
from gitrain.reports.pull_request_blocks import Block, code, counted, listed, row_levels, table_of
from gitrain.reports.pull_request_changes import gaps_of
from gitrain.reports.pull_request_document import Curve, PullRequestReport

__all__ = ["calibration_block", "curve_block", "metrics_block", "slices_block"]

_BETTER, _WORSE, _OPEN = "🟢\u00a0better", "🔴\u00a0worse", "⚪\u00a0open"


def metrics_block(report: PullRequestReport) -> Block:
    """The metrics beside those of the base, each with its interval, and the difference of the pairs."""
    evaluation = report.evaluation
    parts = ["### Metrics against the base" if evaluation and evaluation.batches_before else "### Metrics"]
    parts += gaps_of(report, "metrics")
    if evaluation is None:
        return Block(name="metrics", priority=85, levels=("\n\n".join(parts),) if len(parts) > 1 else ())

    def render(most: int) -> str:
        return "\n\n".join([*parts, _metric_table(evaluation, most), _rows_note(evaluation)])

    return Block(name="metrics", priority=85, levels=row_levels(render, len(evaluation.metrics), (40, 12)))


def slices_block(report: PullRequestReport) -> Block:
    """The groups that moved, what got worse first."""
    evaluation = report.evaluation
    if evaluation is None or not evaluation.batches_before:
        return Block(name="slices", priority=60, levels=())
    header = ("", "slice", "group", "metric", "base", "now", "beyond ±", "rows")
    rows = [_move(move) for move in evaluation.moved]
    worse = sum(not move.better for move in evaluation.moved)
    chance = (1 - evaluation.confidence) * evaluation.compared
    note = f"A group moved if it differs by more than both intervals together leave open ({evaluation.confidence:.0%})."
    if chance >= 1:
        note += f" Of {evaluation.compared:,} values up to {chance:,.0f} would do so by chance."
    if not evaluation.same_rows:
        note += " Both sides were measured on different rows: it may be the data that moved, and not the model."

    def render(most: int) -> str:
        parts = ["### Slices that moved"]
        if not rows:
            parts.append(f"None of {counted(evaluation.compared, 'value')} of groups moved beyond its interval.")
        else:
            parts.append(
                f"**{worse:,} worse, {len(rows) - worse:,} better**, of {counted(evaluation.compared, 'value')}."
            )
            parts.append(table_of(header, rows, most, right=(4, 5, 6, 7), what="groups that moved"))
            parts.append(note)
        for what, names in (("Judged now and not at the base", evaluation.appeared), ("Gone", evaluation.vanished)):
            if names:
                parts.append(f"{what}: {listed(names, min(most, 12))}.")
        return "\n\n".join(parts)

    return Block(name="slices", priority=60, levels=row_levels(render, len(rows), (25, 10, 4)))


def curve_block(report: PullRequestReport) -> Block:
    """The curve of the training as a chart, and its best points."""
    parts = ["### Learning curve", *gaps_of(report, "learning curve")]
    curve = report.curve
    if curve is None:
        return Block(name="learning curve", priority=40, levels=("\n\n".join(parts),) if len(parts) > 1 else ())
    words = _curve_words(curve)
    drawable = {
        name: values
        for name, values in curve.series.items()
        if all(value is not None and math.isfinite(value) for value in (*values, *curve.points))
    }
    drawn = list(drawable.items())[: len(COLOURS)]
    if len(curve.points) < 2 or not drawn:
        return Block(name="learning curve", priority=40, levels=("\n\n".join([*parts, *words]),))
    chart = xy_chart(
        title="Learning curve",
        x=curve.x.replace("_", " "),
        y="loss",
        ticks=(curve.points[0], curve.points[-1]),
        plots=[Plot(values=[value for value in values if value is not None]) for _, values in drawn],
    )
    legend = " · ".join(
        f"{square} {escape(name.replace('_', ' '))}" for square, (name, _) in zip(COLOURS, drawn, strict=False)
    )
    levels = ("\n\n".join([*parts, chart, legend, *words]), "\n\n".join([*parts, *words]))
    return Block(name="learning curve", priority=40, levels=levels)


def calibration_block(report: PullRequestReport) -> Block:
    """The share of positives beside the mean score, in bins of the score."""
    bins = report.calibration
    if not bins:
        return Block(name="calibration", priority=40, levels=())
    rows = [_bin(bin_) for bin_ in bins]
    header = ("score", "rows", "predicted", "observed", "interval")
    shown = table(header, rows, right=(1, 2, 3))
    folded = f"<details><summary>The figures</summary>\n\n{shown}\n\n</details>"
    title = "### Calibration"
    if len(bins) > 40 or not all(math.isfinite(value) for bin_ in bins for value in (bin_.observed, bin_.predicted)):
        return Block(name="calibration", priority=40, levels=(f"{title}\n\n{folded}",))
    chart = xy_chart(
        title="Calibration",
        x="score",
        y="share of positives",
        ticks=[f"{bin_.low:.3g}–{bin_.high:.3g}" for bin_ in bins],
        plots=[
            Plot(values=[bin_.observed for bin_ in bins], bars=True),
            Plot(values=[bin_.predicted for bin_ in bins]),
        ],
        y_range=(0.0, 1.0),
    )
    legend = f"{COLOURS[0]} observed (bars) · {COLOURS[1]} predicted (line)"
    return Block(
        name="calibration", priority=40, levels=(f"{title}\n\n{chart}\n\n{legend}\n\n{folded}", f"{title}\n\n{folded}")
    )


def _metric_table(evaluation: EvaluationComparison, most: int) -> str:
    confidence = f"{100 * evaluation.confidence:g} %"
    against = bool(evaluation.batches_before)
    paired = any(metric.difference is not None for metric in evaluation.metrics)
    header = ["metric", "this change", f"{confidence} interval"]
    header += ["base", "its interval"] if against else []
    header += ["difference to the champion", ""] if paired else ["change"] if evaluation.same_rows else []
    rows = []
    for metric in sorted(evaluation.metrics, key=lambda metric: not metric.judged):
        mark = "**" if metric.judged else ""
        arrow = "↑" if metric.direction == "higher" else "↓"
        row = [f"{mark}{escape(metric.name.replace('_', ' '))}{mark} {arrow}", f"{mark}{_figure(metric.now)}{mark}"]
        row.append(_span(metric.now))
        if against:
            row += [_figure(metric.before), _span(metric.before)]
        if paired:
            row += [_difference(metric), _direction(metric)]
        elif evaluation.same_rows:
            row.append(_plain_change(metric))
        rows.append(tuple(row))
    return table_of(header, rows, most, right=(1, 3), what="metrics")


def _rows_note(evaluation: EvaluationComparison) -> str:
    said = ["Bold: judged by a gate. ↑ more is better, ↓ less is."]
    if any(metric.difference is not None for metric in evaluation.metrics):
        said.append(
            "The difference is that of the pairs: champion and challenger on the same rows of this holdout, whole "
            f"units ({escape(evaluation.unit)}) drawn together."
        )
    if not evaluation.batches_before:
        return " ".join(said)
    if evaluation.same_rows:
        said.append("Both columns are measured on the same rows.")
    else:
        now, before = (_batches(batches) for batches in (evaluation.batches, evaluation.batches_before))
        rates = f"{evaluation.base_rate:.1%} positives now"
        if evaluation.base_rate_before is not None:
            rates += f", {evaluation.base_rate_before:.1%} there"
        said.append(
            f"**The base was measured on different rows** ({before}, this change on {now}; {rates}): its column says "
            "nothing of which model is better."
        )
    reasons = [
        f"{escape(metric.name)}: {escape(metric.now.reason)}"
        for metric in evaluation.metrics
        if metric.now is not None and metric.now.reason is not None
    ]
    if reasons:
        said.append(f"Missing: {'; '.join(reasons[:5])}.")
    return " ".join(said)


def _batches(batches: Sequence[str]) -> str:
    return code(batches[0] if len(batches) == 1 else f"{batches[0]} to {batches[-1]}")


def _figure(estimate: Estimate | None) -> str:
    return format_figure(None if estimate is None else estimate.value)


def _span(estimate: Estimate | None) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return "–"
    return f"{format_figure(estimate.low)} to {format_figure(estimate.high)}"


def _difference(metric: MetricComparison) -> str:
    difference = metric.difference
    if difference is None:
        return "–"
    span = (
        ""
        if difference.low is None or difference.high is None
        else f" ({difference.low:+.4g} to {difference.high:+.4g})"
    )
    return f"**{difference.value:+.4g}**{span}"


def _direction(metric: MetricComparison) -> str:
    difference = metric.difference
    if difference is None or difference.low is None or difference.high is None:
        return "–"
    if difference.low <= 0 <= difference.high:
        return _OPEN
    return _BETTER if (difference.low > 0) == (metric.direction == "higher") else _WORSE


def _plain_change(metric: MetricComparison) -> str:
    if metric.now is None or metric.before is None or metric.now.value is None or metric.before.value is None:
        return "–"
    return f"{metric.now.value - metric.before.value:+.4g}"


def _move(move: SliceMove) -> tuple[str, ...]:
    return (
        _BETTER if move.better else _WORSE,
        code(move.slice_name, longest=40),
        "*(none)*" if move.group is None else code(move.group, longest=40),
        escape(move.metric.replace("_", " "), longest=40),
        format_figure(move.before),
        f"**{format_figure(move.now)}**",
        format_figure(move.margin),
        f"{move.rows:,}",
    )


def _curve_words(curve: Curve) -> list[str]:
    said = []
    for name, (point, value) in curve.best.items():
        values = [value for value in curve.series.get(name, ()) if value is not None]
        last = f", at the end {format_figure(values[-1])}" if values else ""
        said.append(f"{escape(name.replace('_', ' '))}: least {format_figure(value)} at {point:g}{last}")
    words = [f"{'; '.join(said)}."] if said else []
    if curve.missing:
        words.append(f"⚠️ {counted(curve.missing, 'value')} of the curve are missing or not finite.")
    return words


def _bin(bin_: CalibrationBin) -> tuple[str, ...]:
    interval = (
        "–"
        if bin_.observed_low is None or bin_.observed_high is None
        else f"{bin_.observed_low:.1%} to {bin_.observed_high:.1%}"
    )
    return (
        f"{bin_.low:.3g} to {bin_.high:.3g}",
        f"{bin_.rows:,}",
        f"{bin_.predicted:.1%}",
        f"{bin_.observed:.1%}",
        interval,
    )
