"""The evaluation as Markdown: the metrics with their intervals, the slices from the worst on, the calibration."""

from collections.abc import Iterable, Sequence

from gitrain.evaluation.document import (
    CalibrationBin,
    Estimate,
    Evaluation,
    MetricEstimate,
    SliceEvaluation,
    SliceGroup,
)
from gitrain.reports.markdown import escape, format_figure, table

__all__ = ["render_evaluation"]

_GROUPS = 10
_NAMES = 6
_CELLS = 25


def render_evaluation(evaluation: Evaluation, *, groups: int = _GROUPS) -> str:
    """Headings of the second level and below: the metrics, then each slice by the first metric, then the calibration.

    Args:
        evaluation: what `gitrain evaluate` wrote.
        groups: at most this many groups of a slice are shown, those that are judged and worst first.
    """
    parts = [
        f"## Evaluation of {escape(evaluation.project)} on {_listed(evaluation.batches)}",
        _summary(evaluation),
        _metrics(evaluation),
        *(
            _slice(name, slice_, evaluation, groups)
            for name, slice_ in evaluation.slices.items()
            if slice_.groups and evaluation.metrics
        ),
        _calibration(evaluation.calibration, _percent(evaluation.confidence)),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(evaluation: Evaluation) -> str:
    unlabelled = f" ({evaluation.unlabelled:,} more have no label)" if evaluation.unlabelled else ""
    units = f"{evaluation.units:,} resampling unit{'' if evaluation.units == 1 else 's'}"
    lines = [
        f"**{evaluation.rows:,} rows** in {units} (`{_code(evaluation.unit)}`){unlabelled}; "
        f"`{_code(evaluation.target)}` is true in **{evaluation.base_rate:.1%}** of them.",
        f"Estimator `{_code(evaluation.estimator)}`, model `{_short(evaluation.model_digest)}`.",
    ]
    return "\n".join(lines)


def _metrics(evaluation: Evaluation) -> str:
    rows = [
        (
            f"**{_name(name)}**" if estimate.judged else _name(name),
            f"**{format_figure(estimate.value)}**" if estimate.judged else format_figure(estimate.value),
            _span(estimate),
            f"{'↑' if estimate.direction == 'higher' else '↓'} {format_figure(estimate.no_skill)}",
        )
        for name, estimate in evaluation.metrics.items()
    ]
    header = ("metric", "value", f"{_percent(evaluation.confidence)} interval", "better than no skill")
    reasons = _reasons(evaluation.metrics.items())
    note = (
        f"Intervals: {evaluation.replicates:,} draws of whole units ({escape(evaluation.unit)}), since rows of one are "
        "alike. Metrics in bold have a threshold; ↑ more is better, ↓ less is."
    )
    return "\n\n".join([table(header, rows, right=(1, 3)), note, *reasons])


def _slice(name: str, slice_: SliceEvaluation, evaluation: Evaluation, most: int) -> str:
    """The groups of a slice by the project's first metric."""
    metric, overall = next(iter(evaluation.metrics.items()))
    judged = [group for group in slice_.groups if group.judged]
    small = [group for group in slice_.groups if not group.judged]
    # What cannot be measured is no better than what is worst.
    judged.sort(key=lambda group: _worst_first(group.metrics[metric], overall))
    rows = [
        (
            _group(group),
            f"{group.rows:,}",
            f"{group.units:,}",
            f"{group.positives / group.rows:.1%}",
            format_figure(group.metrics[metric].value),
            _span(group.metrics[metric]),
        )
        for group in judged[:most]
    ]
    header = ("group", "rows", "units", "true", _name(metric), f"{_percent(evaluation.confidence)} interval")
    parts = [f"### By {escape(name)}"]
    if rows:
        parts.append(table(header, rows, right=(1, 2, 3, 4)))
    left_out = []
    if len(judged) > most:
        left_out.append(f"{len(judged) - most} better ones are in `reports/evaluation.json`.")
    if small:
        names = _listed([_group(group) for group in small], escaped=True)
        count = f"{len(small)} group{'s' if len(small) > 1 else ''}"
        left_out.append(f"Not judged, with fewer than {slice_.min_rows:,} rows: {count} ({names}).")
    if left_out:
        parts.append(" ".join(left_out))
    return "\n\n".join(parts)


def _calibration(bins: Sequence[CalibrationBin], confidence: str) -> str:
    rows = [
        (
            f"{bin_.low:.3g} to {bin_.high:.3g}",
            f"{bin_.rows:,}",
            f"{bin_.predicted:.1%}",
            f"{bin_.observed:.1%}",
            "–"
            if bin_.observed_low is None or bin_.observed_high is None
            else f"{bin_.observed_low:.1%} to {bin_.observed_high:.1%}",
            f"`{_bar(bin_)}`",
        )
        for bin_ in bins
    ]
    header = ("score", "rows", "predicted", "observed", f"{confidence} interval", "█ observed, ┃ predicted")
    return "\n\n".join(["### Calibration", table(header, rows, right=(1, 2, 3))])


def _bar(bin_: CalibrationBin) -> str:
    """The share of positives as a bar of 25 cells, and a mark where the mean score lies."""
    filled = round(bin_.observed * _CELLS)
    cells = ["█"] * filled + ["░"] * (_CELLS - filled)
    cells[min(int(bin_.predicted * _CELLS), _CELLS - 1)] = "┃"
    return "".join(cells)


def _worst_first(estimate: Estimate, metric: MetricEstimate) -> tuple[bool, float]:
    if estimate.value is None:
        return (False, 0.0)
    return (True, estimate.value if metric.direction == "higher" else -estimate.value)


def _reasons(estimates: Iterable[tuple[str, Estimate]]) -> list[str]:
    """Why values or intervals are missing, and how many draws were passed over."""
    lines = []
    for name, estimate in estimates:
        if estimate.reason is not None:
            lines.append(f"* {_name(name)}: {escape(estimate.reason)}.")
        elif estimate.undefined_draws:
            lines.append(f"* {_name(name)}: {estimate.undefined_draws:,} draws are left out, undefined there.")
    return ["\n".join(lines)] if lines else []


def _span(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return "–"
    return f"{format_figure(estimate.low)} to {format_figure(estimate.high)}"


def _group(group: SliceGroup) -> str:
    return "*(no value)*" if group.group is None else escape(group.group)


def _name(name: str) -> str:
    return escape(name.replace("_", " "))


def _listed(names: Sequence[str], *, escaped: bool = False) -> str:
    shown = [name if escaped else escape(name) for name in names[:_NAMES]]
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(shown) + more


def _code(text: str) -> str:
    """Text that is safe inside a code span: a name with anything else in it is replaced."""
    return "".join(character if character.isalnum() or character in "_-. " else "?" for character in text)


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
