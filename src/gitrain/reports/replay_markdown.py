"""A replayed year in Markdown, for a terminal as well: what the loop gained, batch by batch, and what it cost."""

from gitrain.pipeline.replay import ReplayedBatch, ReplayReport
from gitrain.reports.markdown import escape, format_figure, table

__all__ = ["render_replay"]

_LONG = 300
_WORDS = {
    "promoted": "promoted",
    "same": "the same model",
    "refused": "refused",
    "waited": "no retraining",
}


def render_replay(report: ReplayReport, *, picture: str | None = None) -> str:
    """The year: verdict, performance, what became of each candidate, releases and alarms, cost.

    Args:
        report: what was lived.
        picture: the path of the picture, relative to where this text will lie.
    """
    parts = [
        f"# {escape(report.project)}: {report.batches[0].batch} to {report.batches[-1].batch}, lived again",
        _summary(report),
        f"![Performance with and without the loop]({picture})" if picture else "",
        "## Performance",
        "With the loop: what was answered. Without: the first model kept all year. Candidate: trained on all batches "
        "before, judged on this one.",
        _performance(report),
        "## Candidates",
        _candidates(report),
        "## Releases and alarms",
        _releases(report),
        "## Alarms and drift by batch",
        _alarms(report),
        "## Time and cost",
        _cost(report),
        "\n".join(f"* {escape(note, longest=_LONG)}" for note in report.notes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(report: ReplayReport) -> str:
    rows = sum(each.predictions for each in report.batches)
    lines = [
        f"{rows:,} predictions on {len(report.days):,} units of {escape(report.unit)}; the first model knew "
        f"{report.bootstrap[0]} to {report.bootstrap[-1]}. Of {len(report.batches)} candidates "
        f"{len(report.promoted)} {'was' if len(report.promoted) == 1 else 'were'} promoted and {len(report.refused)} "
        "refused."
    ]
    if report.difference:
        value, low, high = report.difference
        said = "better" if high < 0 else "worse" if low > 0 else "not shown to be better or worse"
        lines.append(
            f"With the loop the log loss of a row is {_signed(value)} against the first model "
            f"({report.confidence:.0%} over whole units: {_signed(low)} to {_signed(high)}): {said}."
        )
    ours = sum(release.alarm is not None for release in report.releases)
    naive = sum(release.naive_alarm is not None for release in report.releases)
    drifted = sum(bool(each.drifted) for each in report.batches)
    lines.append(
        f"Performance was found worse for {ours} of {len(report.releases)} releases (a test that is meant for one look "
        f"says so of {naive}); PSI above 0.2 says that data has drifted in {drifted} of {len(report.batches)} batches."
    )
    return " ".join(lines)


def _performance(report: ReplayReport) -> str:
    header = ["batch"]
    for name in report.metrics:
        header += [f"{escape(name)}: with", "without", "candidate"]
    rows = []
    for each in report.batches:
        row = [escape(each.batch)]
        for name in report.metrics:
            row += [
                _figure(source.get(name)) for source in (each.metrics, each.metrics_without, each.metrics_candidate)
            ]
        rows.append(row)
    whole = ["**all**"]
    for name in report.metrics:
        whole += [_figure(report.overall.get(name)), _figure(report.overall_without.get(name)), "–"]
    return table(header, [*rows, whole], right=range(1, len(header)))


def _candidates(report: ReplayReport) -> str:
    rows = [
        (
            escape(each.batch),
            f"{_WORDS[each.decision]}{f', as {escape(each.release)}' if each.release else ''}",
            f"{each.decided:%Y-%m-%d}" if each.decided is not None else "–",
            "; ".join(escape(sentence, longest=_LONG) for sentence in each.evidence) or "–",
            _why(each),
        )
        for each in report.batches
    ]
    return table(("batch", "candidate", "decided", "asked for by", "why"), rows)


def _why(batch: ReplayedBatch) -> str:
    if batch.decision == "refused":
        return "; ".join(f"{escape(each.name)}: {escape(each.reason, longest=_LONG)}" for each in batch.verdicts)
    return escape(batch.champion_reason or "–", longest=_LONG)


def _releases(report: ReplayReport) -> str:
    rows = [
        (
            escape(each.name),
            f"{each.trained_on[0]} to {each.trained_on[-1]}",
            f"{escape(each.first_day)} to {escape(each.last_day)}" if each.first_day else "never",
            format_figure(each.days),
            _alarm(each.alarm, each.days_to_alarm),
            _alarm(each.naive_alarm, each.days_to_naive_alarm),
        )
        for each in report.releases
    ]
    header = ("release", "trained on", "answered", "days", "alarm", "naive alarm")
    return table(header, rows, right=(3,))


def _alarms(report: ReplayReport) -> str:
    rows = [
        (
            escape(each.batch),
            ", ".join(map(escape, each.releases)),
            ", ".join(map(escape, each.alarms)) or "–",
            ", ".join(map(escape, each.naive_alarms)) or "–",
            f"{len(each.drifted)} of {each.features}",
            f"{len(each.moved)} of {each.features}",
        )
        for each in report.batches
    ]
    header = ("batch", "answered by", "alarm", "naive alarm", "PSI above 0.2", "further than days differ")
    return table(header, rows, right=(4, 5))


def _cost(report: ReplayReport) -> str:
    header = ("batch", "rows", "trained on", "training s", "gates s", "looks s", "serving s", "log s", "log MB")
    rows = [
        (
            escape(each.batch),
            format_figure(each.predictions),
            format_figure(each.training_rows or None),
            f"{each.training_seconds:.1f}{' ♻' if each.reused else ''}",
            f"{each.gates_seconds:.1f}",
            f"{each.monitoring_seconds:.2f}",
            f"{each.serving_seconds:.2f}",
            f"{each.logging_seconds:.2f}",
            f"{each.log_bytes / 1e6:.1f}",
        )
        for each in report.batches
    ]
    minutes, seconds = divmod(round(report.seconds), 60)
    told = (
        f"The replay took {minutes} min {seconds:02d} s. Training took {report.training_seconds:.0f} s in all, the "
        f"first model among it; the log of all predictions is {report.log_bytes / 1e6:,.0f} MB."
    )
    if any(each.reused for each in report.batches):
        told += " ♻: trained and judged by an earlier run; the seconds are those of that run."
    return f"{told}\n\n{table(header, rows, right=range(1, len(header)))}"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


def _alarm(day: str | None, days: int | None) -> str:
    return "–" if day is None else f"{escape(day)} (day {days})"
