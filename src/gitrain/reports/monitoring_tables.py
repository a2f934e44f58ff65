"""Slices, calibration, service quality, verdicts and how to read all that, on the monitoring page."""

from collections.abc import Iterable, Sequence

from gitrain.monitoring.report import FAMILIES, CalibrationRow, MonitoringReport, SliceRow, family_of
from gitrain.release.record import RecordedVerdict
from gitrain.reports.markup import Child, Markup, count, decimals, element, figure, join, table
from gitrain.reports.monitoring_parts import badge, disclosure, legend, more, section
from gitrain.reports.monitoring_tested import tested
from gitrain.reports.monitoring_words import FAMILY_WORDS, day_name, ordered_families, percent, recent_span
from gitrain.reports.svg import finite, range_of
from gitrain.reports.svg_intervals import Point, calibration_curve, interval
from gitrain.reports.svg_series import Series, SeriesChart, draw_series
from gitrain.verdicts import Figure, Outcome

__all__ = ["calibration", "family_cards", "how_to_read", "service", "slices", "verdicts"]

_ROWS = 100
_VERDICTS = 150
_FIGURES = 12
_HINTS = 100


def slices(report: MonitoringReport) -> Markup:
    """The groups of each slice, the worst first; what cannot be judged last."""
    if not report.slices:
        return section("slices", "Slices", element("p", "No slice was looked at.", class_="soft"))
    judged = [each for each in report.slices if each.judged]
    limits = range_of(
        [value for each in judged for value in (each.excess_low, each.excess, each.excess_high, each.threshold)],
        margin=0.02,
    )
    ordered = sorted(report.slices, key=lambda each: (not each.judged, -_certain(each), -(each.excess or 0.0)))
    rows = [
        (
            element("span", f"{each.slice}: ", element("strong", "(no value)" if each.group is None else each.group)),
            f"{each.labelled:,}",
            percent(each.coverage),
            decimals(each.loss),
            decimals(each.reference_loss),
            interval(limits, each.excess_low, each.excess, each.excess_high, each.threshold),
            element(
                "span", element("strong", decimals(each.excess)) if each.excess is not None else "–", _limits(each)
            ),
            decimals(each.roc_auc),
            _standing(each),
        )
        for each in ordered[:_ROWS]
    ]
    about = ("group", "labelled", "coverage", "loss", "holdout")
    header = (*about, "relative loss", "mean (limits)", "ROC AUC", "")
    worse = sum(_certain(each) > 0 for each in judged)
    said = (
        f"{worse or 'None'} of {count(len(judged), 'group', 'groups')} that can be judged "
        f"{'lies' if worse == 1 or not worse else 'lie'} above the alarm line."
        if judged
        else "No group has enough labels to be judged yet."
    )
    return section(
        "slices",
        "Slices",
        element("p", said, " Limits hold at all looks together.", class_="soft"),
        legend([("now", "mean and limits"), ("alarm", "alarm line")]),
        table("Every group", header, rows, right=(1, 2, 3, 4, 6, 7), classes={5: "tight", 8: "tight"}),
        more(_ROWS, ordered, "groups"),
    )


def calibration(report: MonitoringReport) -> Markup:
    """The curve, and its figures beside it."""
    if not report.calibration:
        text = "No prediction has a label yet: nobody knows whether probabilities mean what they say."
        return section("calibration", "Calibration", element("p", text, class_="soft"))
    bins = report.calibration
    rows_in_all = sum(each.rows for each in bins)
    error = sum(each.rows * abs(each.predicted - each.observed) for each in bins) / rows_in_all
    said = f"Over {rows_in_all:,} rows probabilities are off by {percent(error)} in the mean."
    rows = [
        (
            f"{each.low:.3g} to {each.high:.3g}",
            f"{each.rows:,}",
            percent(each.predicted),
            percent(each.observed),
            percent(each.reference),
        )
        for each in bins
    ]
    header = ("probability", "rows", "predicted", "observed", "on the holdout")
    return section(
        "calibration",
        "Calibration",
        element("p", said, class_="soft"),
        legend([("now", "now; larger dots have more rows"), ("reference", "on the holdout"), ("equal", "perfect")]),
        element(
            "div",
            element(
                "figure",
                calibration_curve(
                    "calibration-curve", "Share of positives by probability", said, [_point(each) for each in bins]
                ),
            ),
            table("Bins of the calibration curve", header, rows, right=range(1, 5)),
            class_="sides",
        ),
        tested(report, "calibration"),
    )


def service(report: MonitoringReport) -> Markup:
    """What the log and the replicas say of the service and of the data that came in."""
    found = [*report.family("service"), *report.family("data"), *report.family("skew")]
    cards = [
        element(
            "article",
            element("div", element("h3", each.name), badge(Outcome(each.outcome)), class_="card-head"),
            element("p", each.reason, class_="small"),
            _figures(each),
        )
        for each in found[:_VERDICTS]
    ]
    parts: list[Child] = [element("div", *cards, class_="cards")] if cards else [element("p", "Nothing was judged.")]
    days = recent_span(report)
    if days is not None:
        parts.insert(0, element("p", f"Of the log the last days are judged: {days}.", class_="soft"))
    missing = [row.missing_share for row in report.days]
    if finite(missing):
        parts += [
            element("h3", "Feature values that were not known"),
            element(
                "figure",
                draw_series(
                    SeriesChart(
                        name="missing",
                        title=f"Share of feature values that were not known, each {report.unit}",
                        description=f"Between {percent(min(finite(missing)))} and {percent(max(finite(missing)))}.",
                        units=[day_name(row.day) for row in report.days],
                        limits=(0.0, max(max(finite(missing)) * 1.15, 0.001)),
                        show=percent,
                        series=[Series(values=missing, style="now")],
                        hints=[
                            f"{row.day}: {percent(row.missing_share)}"
                            for row in report.days
                            if len(report.days) <= _HINTS
                        ],
                        height=120,
                    )
                ),
            ),
        ]
    return section("service", "Service and live data", *parts, more(_VERDICTS, found, "verdicts"))


def verdicts(report: MonitoringReport) -> Markup:
    """All of them by family: those that decide first; passed ones are folded away where they are many."""
    parts: list[Child] = []
    for family in ordered_families(report):
        found = sorted(report.family(family), key=lambda each: each.outcome == "PASSED")
        if not found:
            continue
        role = "decides" if family in report.decides else "explains"
        parts.append(element("h3", f"{family.capitalize()} ({role})"))
        open_ = [each for each in found if each.outcome != "PASSED" or len(found) <= 12]
        folded = [each for each in found if each not in open_]
        if open_:
            parts += [_table(family, open_[:_VERDICTS]), more(_VERDICTS, open_, "verdicts")]
        if folded:
            shown = _table(f"{family}, passed", folded[:_VERDICTS])
            parts.append(disclosure(f"{len(folded):,} passed", shown, more(_VERDICTS, folded, "verdicts")))
    return section("verdicts", "All verdicts", *(parts or [element("p", "There are none.")]))


def how_to_read(report: MonitoringReport) -> Markup:
    """What the words and pictures mean."""
    decides = ", ".join(each for each in FAMILIES if each in report.decides)
    explains = ", ".join(each for each in FAMILIES if each not in report.decides)
    unit = report.unit
    entries = [
        (
            "The verdict",
            f"is the worst of what decides: {decides}. What explains ({explains or 'nothing'}) tells where to look.",
        ),
        (
            "Looking every day",
            "makes a plain test alarm sooner or later, whatever happens. The limits here hold at all looks "
            "together: over all of them a false alarm has the probability that is stated.",
        ),
        (
            "Relative loss",
            f"is a {unit}'s log loss divided by that of knowing nothing but the {unit}'s share of positives: 1 is no "
            "skill. A busier season alone does not raise it; a model that knows less does, or one whose probabilities "
            "are off.",
        ),
        (
            "The alarm line",
            "is the holdout and what is tolerated beyond it. An alarm is a mean whose limits both lie above it.",
        ),
        (
            f"Whole {unit}s",
            f"are what is drawn and counted: rows of one {unit} are alike, and as if each were news they would give "
            "intervals that are far too narrow.",
        ),
        (
            "PSI",
            "compares the shares of bins now with those of the training data. Its limit is what parts of the training "
            "data differ by among themselves, not a number from a book. Bins hold about equal parts of the training "
            "data, so grey is level by design: blue above grey is more than there was.",
        ),
        (
            "Labels",
            "come late. What is not mature is left out; what is mature and has none lowers the coverage.",
        ),
        ("Inconclusive", "means that there is too little to say either way. It is not a pass."),
    ]
    items = (element("div", element("dt", term), element("dd", text)) for term, text in entries)
    return section("reading", "How to read this", element("dl", *items, class_="reading"))


def _certain(row: SliceRow) -> float:
    """How far the interval lies above the alarm line; 0 where it does not."""
    if not row.judged or row.excess_low is None or row.threshold is None:
        return 0.0
    return max(row.excess_low - row.threshold, 0.0)


def _limits(row: SliceRow) -> str:
    known = row.excess_low is not None and row.excess_high is not None
    return f" ({decimals(row.excess_low)} to {decimals(row.excess_high)})" if known else ""


def _standing(row: SliceRow) -> Child:
    if not row.judged:
        return element("span", "too few", class_="soft")
    return badge(Outcome.FAILED, "worse") if _certain(row) > 0 else "holds"


def _point(row: CalibrationRow) -> Point:
    hint = (
        f"{row.low:.3g} to {row.high:.3g}: {percent(row.predicted)} predicted, {percent(row.observed)} observed, "
        f"{row.rows:,} rows"
    )
    return Point(predicted=row.predicted, observed=row.observed, reference=row.reference, weight=row.rows, hint=hint)


def _table(caption: str, found: Sequence[RecordedVerdict]) -> Markup:
    rows = [
        (
            each.name,
            badge(Outcome(each.outcome)),
            each.reason if each.waived is None else f"{each.reason} (waived: {each.waived})",
            ", ".join(_shown(each)),
        )
        for each in found
    ]
    classes = {1: "tight", 2: "reason", 3: "figures"}
    return table(f"Verdicts: {caption}", ("verdict", "outcome", "reason", "figures"), rows, classes=classes)


def _figures(verdict: RecordedVerdict) -> Markup:
    shown = list(_shown(verdict))
    return element("p", join((" · ".join(shown),)), class_="soft small") if shown else Markup("")


def _shown(verdict: RecordedVerdict) -> Iterable[str]:
    for name, value in list(verdict.figures.items())[:_FIGURES]:
        yield f"{name.replace('_', ' ')} {_value(value)}"


def _value(value: Figure) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return figure(value, digits=4) if value is None or isinstance(value, int | float) else value


def family_cards(report: MonitoringReport) -> Markup:
    """What is asked, a card a family, with its answer."""
    return element(
        "div",
        *(_family_card(report, each) for each in ordered_families(report)),
        class_="cards",
    )


def _family_card(report: MonitoringReport, family: str) -> Markup:
    found = [each for each in report.verdicts if family_of(each.name) == family]
    name = next(each for each in FAMILIES if each == family)
    outcome = report.outcome_of_family(name)
    role = "decides" if family in report.decides else "explains"
    worst = next((each for each in found if each.outcome == outcome.value), None)
    passed = sum(each.outcome == "PASSED" for each in found)
    if not found:
        answer = "Nothing was judged."
    elif outcome is Outcome.PASSED or worst is None:
        answer = f"All {len(found):,} verdicts passed." if len(found) > 1 else found[0].reason
    else:
        answer = f"{worst.name}: {worst.reason}."
        if len(found) > 1:
            answer += f" {passed:,} of {len(found):,} passed."
    return element(
        "article",
        element("div", element("h3", FAMILY_WORDS[name]), class_="card-head"),
        element("p", badge(outcome), " ", element("span", f"{family} · {role}", class_="soft small")),
        element("p", answer),
        class_=f"ask {role} {outcome.value.lower()}",
    )
