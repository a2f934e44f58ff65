"""A monitoring report as Markdown for an issue: the verdict, what decides, what moved. Short and escaped."""

import re
from collections.abc import Iterable

from gitrain.monitoring.report import MonitoringReport, family_of
from gitrain.reports.markdown import escape, format_figure, table
from gitrain.reports.monitoring_words import (
    alarmed_slices,
    moved_of,
    ordered_verdicts,
    percent,
    recent_span,
    slice_name,
    span,
    words_of,
)
from gitrain.reports.verdicts_markdown import MARKS
from gitrain.verdicts import Outcome

__all__ = ["render_monitoring"]

_REASON = 400
_ROWS = 10
_RELEASES = 5
_COMMAND = re.compile(r"`([a-z][a-z0-9 ._-]*)`")


def render_monitoring(report: MonitoringReport) -> str:
    """The report; whatever comes from data, log or configuration is escaped, and long tables are cut.

    What is the same from one look to the next reads the same, so that an issue that is kept current changes only where
    something happened.
    """
    words = words_of(report)
    parts = [
        f"## {MARKS[report.outcome]} Monitoring of {escape(report.environment)}: {escape(words.title)}",
        "\n".join(f"* {escape(each, longest=_REASON)}" for each in words.lead),
        "### What to do\n\n" + "\n".join(f"* {_advice(each)}" for each in words.advice),
        _verdicts(report),
        _moved(report),
        _slices(report),
        _facts(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _verdicts(report: MonitoringReport) -> str:
    open_ = [each for each in ordered_verdicts(report) if each.outcome != "PASSED" and family_of(each.name) != "drift"]
    passed = sum(each.outcome == "PASSED" for each in report.verdicts)
    rows = [
        (
            f"{MARKS[Outcome(each.outcome)]} {each.outcome}",
            escape(each.name),
            "yes" if family_of(each.name) in report.decides else "no",
            escape(each.reason, longest=_REASON),
        )
        for each in open_[:_ROWS]
    ]
    days = recent_span(report)
    ending = f"{passed:,} of {len(report.verdicts):,} verdicts passed."
    if days is not None:
        ending += f" Service, data and drift are judged by the last days: {days}."
    if len(open_) > _ROWS:
        ending = f"{len(open_) - _ROWS:,} more did not pass; {ending}"
    shown = [table(("outcome", "verdict", "decides", "reason"), rows)] if rows else []
    return "\n\n".join(["### Verdicts", *shown, ending])


def _moved(report: MonitoringReport) -> str:
    moved = sorted((each for each in report.features if each.moved), key=lambda each: -each.psi)
    if not report.features:
        return ""
    if not moved:
        naive = sum(each.naive for each in report.features)
        aside = f"; the usual rule, PSI above 0.2, would name {naive}" if naive else ""
        return f"### What moved\n\n{moved_of(report)} moved beyond chance{aside}."
    rows = [
        (
            escape(each.name),
            format_figure(each.psi),
            format_figure(each.threshold),
            format_figure(each.wasserstein),
            f"{percent(each.reference_missing)} → {percent(each.missing)}",
        )
        for each in moved[:_ROWS]
    ]
    header = ("feature", "PSI", "by chance up to", "Wasserstein (sd)", "not known")
    more = f" The {_ROWS} farthest are shown." if len(moved) > _ROWS else ""
    note = f"{moved_of(report)} moved beyond chance between {_units(report)}.{more}"
    return "\n\n".join(["### What moved", table(header, rows, right=(1, 2, 3, 4)), note])


def _slices(report: MonitoringReport) -> str:
    worse = alarmed_slices(report)
    if not worse:
        return ""
    rows = [
        (
            escape(slice_name(each)),
            f"{each.labelled:,}",
            percent(each.coverage),
            format_figure(each.loss),
            format_figure(each.reference_loss),
            f"{format_figure(each.excess)} [{format_figure(each.excess_low)}, {format_figure(each.excess_high)}]",
        )
        for each in worse[:_ROWS]
    ]
    header = ("group", "labelled", "coverage", "loss", "on the holdout", "relative loss")
    return "\n\n".join(["### Groups that became worse", table(header, rows, right=(1, 2, 3, 4, 5))])


def _facts(report: MonitoringReport) -> str:
    labels = report.labels
    releases = ", ".join(f"{escape(each.version)} ({each.predictions:,})" for each in report.releases[-_RELEASES:])
    rows = [
        ("project", f"{escape(report.project)}, target {escape(report.target)}"),
        ("window (UTC)", escape(span(report))),
        ("releases", releases or "none answered"),
        ("predictions", f"{labels.predictions:,}, {labels.mature:,} of them mature"),
        ("labels", f"{labels.labelled:,}; of what is due {percent(labels.coverage)} has come"),
        ("decides", ", ".join(report.decides)),
        ("inputs", f"`{report.inputs_digest.removeprefix('sha256:')[:12]}`" if report.inputs_digest else "–"),
    ]
    shown = table(("", ""), [(f"**{name}**", value) for name, value in rows])
    notes = "\n".join(f"* {escape(note, longest=_REASON)}" for note in report.notes[:_ROWS])
    inside = "\n\n".join(part for part in (shown, notes) if part)
    return f"<details><summary>What was looked at</summary>\n\n{inside}\n\n</details>"


def _advice(text: str) -> str:
    """Escaped, but for commands: they are our own words, and are to be copied."""
    return "".join(_pieces(text))


def _pieces(text: str) -> Iterable[str]:
    for place, piece in enumerate(_COMMAND.split(text)):
        if place % 2:
            yield f"`{piece}`"
        elif piece:
            # Spaces at the edges part the text from the command, and `escape` takes them.
            yield (" " if piece[0] == " " else "") + escape(piece, longest=_REASON) + (" " if piece[-1] == " " else "")


def _units(report: MonitoringReport) -> str:
    return f"whole {escape(report.unit)}s"
