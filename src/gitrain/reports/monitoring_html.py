"""A monitoring report as one HTML file: no script, nothing fetched, readable in light, in the dark, and on paper.

Every chart is drawn here as SVG, says in words what it shows, and has its figures in a table beside it. Values are
text wherever they come from: see `gitrain.reports.markup`.
"""

from collections.abc import Iterable

from gitrain.monitoring.report import MonitoringReport, family_of
from gitrain.reports.markup import Child, Markup, count, decimals, element, figure, join
from gitrain.reports.monitoring_distributions import distributions
from gitrain.reports.monitoring_parts import mark, section
from gitrain.reports.monitoring_style import STYLE, STYLE_SOURCE
from gitrain.reports.monitoring_tables import calibration, family_cards, how_to_read, service, slices, verdicts
from gitrain.reports.monitoring_trend import trend
from gitrain.reports.monitoring_words import (
    Words,
    day_name,
    mean_loss,
    overall_sequences,
    percent,
    recent_span,
    span,
    words_of,
)

__all__ = ["render_monitoring_html"]

# Nothing may be fetched or run, and no style but this one: what a value smuggled in would stay without effect.
_POLICY = f"default-src 'none'; style-src {STYLE_SOURCE}; base-uri 'none'; form-action 'none'"
_SECTIONS = (
    ("trend", "Performance"),
    ("moved", "What moved"),
    ("slices", "Slices"),
    ("calibration", "Calibration"),
    ("service", "Service"),
    ("verdicts", "Verdicts"),
    ("reading", "How to read"),
)
_RELEASES = 8


def render_monitoring_html(report: MonitoringReport, *, version: str) -> str:
    """The whole page; long tables are cut, so that a year of hundreds of features stays below 1 MB.

    Args:
        report: what `gitrain monitor run` found.
        version: of the program, for the footer.
    """
    words = words_of(report)
    head = (
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="robots", content="noindex"),
        element("title", f"{report.environment}: {words.title}"),
        # The one text that is not escaped: it is ours, and the policy holds its hash.
        Markup(f"<style>{STYLE}</style>"),
    )
    body = (
        _navigation(),
        element(
            "main",
            _header(report, words),
            _tiles(report),
            section("questions", "What was asked", family_cards(report)),
            section(
                "advice",
                "What to do",
                element("ul", *(element("li", *_commands(each)) for each in words.advice), class_="advice"),
            ),
            trend(report),
            distributions(report),
            slices(report),
            calibration(report),
            service(report),
            verdicts(report),
            _notes(report),
            how_to_read(report),
        ),
        _footer(report, version),
    )
    page = element("html", element("head", *head), element("body", *body), lang="en")
    return f"<!doctype html>\n{page}\n"


def _navigation() -> Markup:
    links = (element("li", element("a", text, href=f"#{name}")) for name, text in _SECTIONS)
    return element("nav", element("ul", *links), aria_label="Sections")


def _header(report: MonitoringReport, words: Words) -> Markup:
    banner = element(
        "div",
        mark(report.outcome),
        element(
            "div",
            element("p", f"{report.environment} · {report.outcome.value}", class_="over"),
            element("h1", words.title),
        ),
        element("div", *(element("p", each) for each in words.lead), class_="lead"),
        class_=f"verdict {report.outcome.value.lower()}",
    )
    releases = [f"{each.version} ({each.predictions:,})" for each in report.releases[-_RELEASES:]]
    if len(report.releases) > _RELEASES:
        releases.insert(0, f"{len(report.releases) - _RELEASES} earlier ones")
    days = recent_span(report)
    facts = (
        ("Project", f"{report.project}, target {report.target}"),
        ("Window (UTC)", span(report)),
        *([("Service, data, drift by", days)] if days is not None else []),
        ("Releases (predictions)", ", ".join(releases) or "none answered"),
        ("What decides", ", ".join(report.decides) or "nothing"),
        ("Made (UTC)", f"{report.generated:%Y-%m-%d %H:%M}"),
    )
    pairs = (element("div", element("dt", term), element("dd", text)) for term, text in facts)
    return element("header", banner, element("dl", *pairs, class_="facts"))


def _tiles(report: MonitoringReport) -> Markup:
    labels = report.labels
    loss, base = mean_loss(report)
    moved = sum(each.moved for each in report.features)
    sequences = [each for each in overall_sequences(report) if family_of(each.name) == "performance"]
    alarm = sequences[0].alarm if sequences else None
    naive = sequences[0].naive_alarm if sequences else None
    tiles = (
        ("Predictions", f"{labels.predictions:,}", count(report.window.days, report.unit, f"{report.unit}s")),
        ("Label coverage", percent(labels.coverage), f"{labels.labelled:,} labelled of {labels.mature:,} mature"),
        ("Log loss", decimals(loss), f"of the rate alone {decimals(base)}"),
        ("Alarm", day_name(alarm) if alarm else "none", f"naive test: {day_name(naive) if naive else 'none'}"),
        ("Moved", f"{moved} of {len(report.features)}", "distributions, beyond chance"),
    )
    shown = (
        element("dl", element("dt", term), element("dd", value), element("dd", aside), class_="tile")
        for term, value, aside in tiles
    )
    return element("div", *shown, class_="tiles")


def _commands(advice: str) -> Iterable[Child]:
    """What stands between backticks is a command."""
    for place, piece in enumerate(advice.split("`")):
        yield element("code", piece) if place % 2 else piece


def _notes(report: MonitoringReport) -> Markup:
    if not report.notes:
        return Markup("")
    return section(
        "notes", "Notes", element("ul", *(element("li", note) for note in report.notes[:50]), class_="advice")
    )


def _footer(report: MonitoringReport, version: str) -> Markup:
    digest = report.inputs_digest or "not recorded"
    lines = (
        f"Gitrain {version}, report format {report.schema_version}, made in {figure(report.seconds)} s.",
        f"Inputs: {digest}",
    )
    return element("footer", join(element("p", line) for line in lines))
