"""What moved, on the monitoring page: the distributions that did as charts, and all of them as a table."""

import itertools
from collections.abc import Sequence

from gitrain.monitoring.report import FeatureDrift, MonitoringReport
from gitrain.reports.markup import Child, Markup, element, figure, table
from gitrain.reports.monitoring_parts import disclosure, legend, more, section
from gitrain.reports.monitoring_words import moved_of, percent, recent_span
from gitrain.reports.svg_distribution import distribution, sparkline

__all__ = ["distributions"]

_CARDS = 12
_OPEN = 30
_ROWS = 150
_NAIVE = 0.2


def distributions(report: MonitoringReport) -> Markup:
    """The section."""
    features = sorted(report.features, key=lambda each: -each.psi)
    moved = [each for each in features if each.moved]
    parts: list[Child] = [element("p", _summary(report, features), class_="soft")]
    if moved:
        parts += [
            legend([("was", "reference: the training data"), ("is", "now")]),
            element("div", *(_card(place, each) for place, each in enumerate(moved[:_CARDS])), class_="cards"),
        ]
        if len(moved) > _CARDS:
            parts.append(element("p", f"The {_CARDS} farthest are drawn; the table has all.", class_="soft small"))
    if features:
        parts.append(element("h3", "All distributions"))
        parts.append(_table(features[:_OPEN]))
        folded = features[_OPEN:_ROWS]
        if folded:
            parts.append(disclosure(f"{len(folded):,} more, that moved less", _table(folded)))
        parts.append(more(_ROWS, features, "distributions"))
    return section("moved", "What moved", *parts)


def _summary(report: MonitoringReport, features: Sequence[FeatureDrift]) -> str:
    if not features:
        return "No distribution was compared."
    said = f"{moved_of(report)} moved farther from the reference than whole {report.unit}s of it are from each other."
    days = recent_span(report)
    if days is not None:
        said += f" They are of {days}."
    naive = sum(each.naive for each in features)
    said += f" The usual rule, PSI above {_NAIVE:g}, would name {naive if naive else 'none'}."
    if "drift" not in report.decides:
        said += " Drift explains here; it does not decide."
    return said


def _card(place: int, feature: FeatureDrift) -> Markup:
    limit = f" (by chance up to {figure(feature.threshold)})" if feature.threshold is not None else ""
    figures = [f"PSI {figure(feature.psi)}{limit}"]
    if feature.wasserstein is not None:
        figures.append(f"{figure(feature.wasserstein)} sd apart")
    if feature.farthest_day is not None:
        figures.append(f"farthest on {feature.farthest_day}")
    if feature.missing or feature.reference_missing:
        figures.append(f"not known {_unknown(feature)}")
    histogram = feature.histogram
    picture = distribution(
        f"moved-{place}",
        f"{feature.name}: now over the reference",
        f"{feature.name} has moved: {', '.join(figures)}.",
        histogram.reference,
        histogram.current,
        edges=histogram.edges,
        categories=histogram.categories,
    )
    return element(
        "article",
        element("div", element("h3", feature.name), class_="card-head"),
        element("p", " · ".join(figures), class_="soft small"),
        picture,
        disclosure("Figures", _bins(feature), paper=False),
    )


def _unknown(feature: FeatureDrift) -> str:
    return f"{percent(feature.reference_missing)} → {percent(feature.missing)}"


def _bins(feature: FeatureDrift) -> Markup:
    histogram = feature.histogram
    if histogram.categories:
        names = list(histogram.categories)
    else:
        names = [_between(low, high) for low, high in itertools.pairwise(histogram.edges)]
    count = min(len(histogram.reference), len(histogram.current)) - 1
    # A name for every bin, also where a file has fewer: a bin without a name is a number.
    names = [names[place] if place < len(names) else f"bin {place + 1}" for place in range(max(count, 0))]
    rows = [
        (name, percent(was), percent(now))
        for name, was, now in zip([*names, "not known"], histogram.reference, histogram.current, strict=False)
    ]
    return table(f"Shares of {feature.name}", ("", "reference", "now"), rows, right=(1, 2))


def _between(low: float, high: float) -> str:
    """A bin of one value, as no rain has, is that value."""
    return figure(low) if figure(low) == figure(high) else f"{figure(low)} to {figure(high)}"


def _table(features: Sequence[FeatureDrift]) -> Markup:
    rows = [
        (
            feature.name,
            sparkline(feature.histogram.reference, feature.histogram.current),
            figure(feature.psi),
            figure(feature.threshold),
            figure(feature.p_value, digits=2),
            figure(feature.wasserstein),
            _unknown(feature),
            element("strong", "moved") if feature.moved else "no",
            "above" if feature.naive else "–",
        )
        for feature in features
    ]
    header = (
        "feature", "then, now", "PSI", "by chance", "p", "distance (sd)", "not known", "moved",
        f"PSI > {_NAIVE:g}",
    )  # fmt: skip
    return table(
        "How far each feature and the prediction moved",
        header,
        rows,
        right=range(2, 7),
        classes={0: "name", 1: "tight"},
    )
