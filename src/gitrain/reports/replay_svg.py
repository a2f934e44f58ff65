"""A replayed year as one picture: what the loop gained, how performance was tested, and what became of each batch.

Three drawings above each other over the same days:

1. a metric by batch: of the answers, of the first model kept all year, and of the candidate of each batch;
2. the statistic of performance of each release with its limits and threshold, and the alarms;
3. the log loss of the answers less that of the first model, day by day.

The file stands alone: it holds its own style, for light and dark screens, and fetches nothing.
"""

from collections.abc import Iterator, Sequence

from gitrain.pipeline.replay import ReplayedBatch, ReplayedDay, ReplayReport
from gitrain.reports.markup import Markup, element, join
from gitrain.reports.svg import Scale, boxes, finite, label, polyline, range_of, ticks

__all__ = ["render_replay_svg"]

_WIDTH, _HEIGHT = 960.0, 660.0
_LEFT, _RIGHT = 62.0, 16.0
_METRIC = (72.0, 268.0)
_LOOKS = (324.0, 486.0)
_GAIN = (536.0, 618.0)
_ROOM = 44.0

_LIGHT = {
    "card": "#ffffff",
    "text": "#1d2433",
    "soft": "#5a6377",
    "grid": "#e6e9ef",
    "with": "#1f5fbf",
    "tint": "#d7e4f7",
    "without": "#8a5a00",
    "candidate": "#5a6377",
    "good": "#1d7a3f",
    "bad": "#b3261e",
}
_DARK = {
    "card": "#171b24",
    "text": "#e8ebf2",
    "soft": "#a3acbf",
    "grid": "#2b3242",
    "with": "#7fb0ff",
    "tint": "#24385a",
    "without": "#e0a94b",
    "candidate": "#a3acbf",
    "good": "#6fcf8f",
    "bad": "#ff8a80",
}
_RULES = (
    ".replay text{font:12px system-ui,sans-serif;fill:var(--r-soft)}"
    ".replay .head{font-weight:600;font-size:13px;fill:var(--r-text)}"
    ".replay .title{font-weight:600;font-size:17px;fill:var(--r-text)}"
    ".replay .card{fill:var(--r-card)}.replay .grid{stroke:var(--r-grid)}.replay .axis{stroke:var(--r-soft)}"
    ".replay .batch{stroke:var(--r-grid);stroke-width:1}"
    ".replay .with,.replay .without{fill:none;stroke-width:2.4;stroke-linecap:round;stroke-linejoin:round}"
    ".replay .with{stroke:var(--r-with)}.replay .without{stroke:var(--r-without);stroke-dasharray:6 4}"
    ".replay .alone{stroke-width:0}"
    ".replay .candidate{fill:var(--r-card);stroke:var(--r-candidate);stroke-width:1.6}"
    ".replay .band{fill:var(--r-tint)}.replay .thin{fill:none;stroke:var(--r-with);stroke-width:1.6}"
    ".replay .limit{fill:none;stroke:var(--r-bad);stroke-dasharray:5 4;stroke-width:1.3}"
    ".replay .release{stroke:var(--r-with);stroke-width:1.4}"
    ".replay text.with{fill:var(--r-with);stroke:none;font-weight:600}"
    ".replay text.promoted{fill:var(--r-good);font-weight:600}.replay text.refused{fill:var(--r-bad);font-weight:600}"
    ".replay .alarm{fill:var(--r-bad)}.replay .naive{fill:none;stroke:var(--r-bad);stroke-width:1.6}"
    ".replay .gained{fill:var(--r-with)}.replay .lost{fill:var(--r-bad)}"
)


def _style() -> Markup:
    light, dark = (";".join(f"--r-{name}:{value}" for name, value in each.items()) for each in (_LIGHT, _DARK))
    text = f".replay{{{light}}}@media (prefers-color-scheme:dark){{.replay{{{dark}}}}}{_RULES}"
    # The one text that is not escaped: it is ours.
    return Markup(f"<style>{text}</style>")


def render_replay_svg(report: ReplayReport) -> str:
    """The picture as the text of an SVG file.

    Args:
        report: what was lived.
    """
    across = Scale(-0.5, max(len(report.days), 1) - 0.5, _LEFT, _WIDTH - _RIGHT)
    parts = (
        element("rect", x=0, y=0, width=_WIDTH, height=_HEIGHT, class_="card"),
        label(_LEFT, 28, _title(report), class_="title"),
        join(_batches(report, across)),
        join(_metric(report, across)),
        join(_looks(report, across)),
        join(_gain(report, across)),
    )
    picture = element(
        "svg",
        element("title", _title(report), id="replay-title"),
        element("desc", _described(report), id="replay-desc"),
        _style(),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewbox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        class_="replay",
        role="img",
        aria_labelledby="replay-title replay-desc",
    )
    return picture + "\n"


def _title(report: ReplayReport) -> str:
    first, last = report.batches[0].batch, report.batches[-1].batch
    promoted, refused = len(report.promoted), len(report.refused)
    return f"{report.project} {first} to {last}: {promoted} promoted, {refused} refused"


def _described(report: ReplayReport) -> str:
    shown = _shown_metric(report)
    parts = [
        f"{each.batch}: {shown} {_figure(each.metrics.get(shown))} with the loop and "
        f"{_figure(each.metrics_without.get(shown))} without, {each.decision}"
        for each in report.batches
    ]
    return "; ".join(parts)


def _shown_metric(report: ReplayReport) -> str:
    return "roc_auc" if "roc_auc" in report.metrics else report.metrics[0]


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _spans(report: ReplayReport) -> list[tuple[ReplayedBatch, int, int]]:
    """Each batch with the places of its first day and of the one after its last."""
    names = [day.batch for day in report.days]
    return [
        (each, names.index(each.batch), names.index(each.batch) + names.count(each.batch))
        for each in report.batches
        if each.batch in names
    ]


def _batches(report: ReplayReport, across: Scale) -> Iterator[Markup]:
    """Upright lines between batches, their names below, and what became of each above."""
    for each, start, end in _spans(report):
        x, y = across(start - 0.5), across(end - 0.5)
        if start:
            yield element("line", x1=x, x2=x, y1=48, y2=_GAIN[1], class_="batch")
        middle = (x + y) / 2
        yield label(middle, _HEIGHT - 22, each.batch, anchor="middle")
        if each.decision in {"promoted", "refused"}:
            yield label(middle, 58, each.decision, anchor="middle", class_=each.decision)
        else:
            yield label(middle, 58, "same model" if each.decision == "same" else "waited", anchor="middle")


def _axis(low: float, high: float, up: Scale, count: int, digits: int) -> Iterator[Markup]:
    for value in ticks(low, high, count):
        y = up(value)
        yield element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid")
        yield label(_LEFT - 8, y + 4, f"{value:.{digits}f}".replace("-", "−"), anchor="end")


def _metric(report: ReplayReport, across: Scale) -> Iterator[Markup]:
    name = _shown_metric(report)
    values = [
        source.get(name)
        for each in report.batches
        for source in (each.metrics, each.metrics_without, each.metrics_candidate)
    ]
    low, high = range_of(values, margin=0.12)
    up = Scale(low, high, _METRIC[1], _METRIC[0] + 20)
    yield from _axis(low, high, up, 5, 2)
    yield label(_LEFT, _METRIC[0] + 8, name, class_="head")
    x = _LEFT + len(name) * 8 + 20
    yield element("line", x1=x, x2=x + 24, y1=_METRIC[0] + 4, y2=_METRIC[0] + 4, class_="with")
    yield label(x + 30, _METRIC[0] + 8, "with the loop")
    yield element("line", x1=x + 122, x2=x + 146, y1=_METRIC[0] + 4, y2=_METRIC[0] + 4, class_="without")
    yield label(x + 152, _METRIC[0] + 8, "the first model all year")
    yield element("circle", cx=x + 316, cy=_METRIC[0] + 4, r=4, class_="candidate")
    yield label(x + 326, _METRIC[0] + 8, "the candidate, trained on all batches before")
    for each, start, end in _spans(report):
        for source, style in ((each.metrics_without, "without"), (each.metrics, "with")):
            value = source.get(name)
            if value is not None:
                y = up(value)
                ends = across(start) + 2, across(end - 1) - 2
                yield element("line", x1=ends[0], x2=ends[1], y1=y, y2=y, class_=style)
        value = each.metrics_candidate.get(name)
        if value is not None:
            yield element("circle", cx=across((start + end - 1) / 2), cy=up(value), r=4, class_="candidate")


def _looks(report: ReplayReport, across: Scale) -> Iterator[Markup]:
    days = report.days
    known = finite([*(day.estimate for day in days), *(day.threshold for day in days)])
    low, high = range_of(known, margin=0.5)
    up = Scale(low, high, _LOOKS[1], _LOOKS[0])
    yield from _axis(low, high, up, 4, 2)
    yield label(
        _LEFT,
        _LOOKS[0] - 14,
        "Log loss over that of the base rate: mean of the release's days, its limits, and the threshold (dashed)",
        class_="head",
    )
    for release in report.releases:
        places = [place for place, day in enumerate(days) if day.release == release.name]
        if places:
            yield from _release(release.name, [(place, days[place]) for place in places], across, up)


def _release(name: str, days: Sequence[tuple[int, ReplayedDay]], across: Scale, up: Scale) -> Iterator[Markup]:
    limits = [
        (across(place), up(day.lower), up(day.upper))
        for place, day in days
        if day.lower is not None and day.upper is not None
    ]
    if len(limits) > 1:
        edge = [f"{x:.1f} {high:.1f}" for x, _, high in limits] + [f"{x:.1f} {low:.1f}" for x, low, _ in limits[::-1]]
        yield element("path", d="M" + "L".join(edge) + "Z", class_="band")
    means = [(across(place), up(day.estimate)) if day.estimate is not None else None for place, day in days]
    yield polyline(means, class_="thin")
    bounds = [(across(place), up(day.threshold)) if day.threshold is not None else None for place, day in days]
    yield polyline(bounds, class_="limit")
    x = across(days[0][0] - 0.5)
    yield element("line", x1=x, x2=x, y1=_LOOKS[0], y2=_LOOKS[1], class_="release")
    yield label(min(x + 5, _WIDTH - _RIGHT - _ROOM), _LOOKS[1] - 6, name, class_="with")
    for alarmed, style in (
        (next((each for each in days if each[1].naive_alarm), None), "naive"),
        (next((each for each in days if each[1].alarm), None), "alarm"),
    ):
        if alarmed is not None and alarmed[1].estimate is not None:
            x, y = across(alarmed[0]), up(alarmed[1].estimate)
            what = "alarm" if style == "alarm" else "alarm of the naive test"
            hint = element("title", f"{what}: {name}, {alarmed[1].day}")
            yield element("circle", hint, cx=x, cy=y, r=5 if style == "alarm" else 8, class_=style)


def _gain(report: ReplayReport, across: Scale) -> Iterator[Markup]:
    """The mean difference of log loss by day."""
    gaps = [
        day.log_loss - day.log_loss_without if day.log_loss is not None and day.log_loss_without is not None else None
        for day in report.days
    ]
    low, high = range_of([0.0, *gaps], least=1e-3)
    up = Scale(low, high, _GAIN[1], _GAIN[0])
    yield from _axis(low, high, up, 3, 2)
    yield label(
        _LEFT, _GAIN[0] - 12, "Log loss of a day, the loop's less the first model's (below 0: better)", class_="head"
    )
    ground = up(0.0)
    thick = max((across(1) - across(0)) * 0.76, 0.8)
    for style, sign in (("gained", -1), ("lost", 1)):
        yield boxes(
            (
                (across(place) - thick / 2, min(ground, up(gap)), thick, abs(up(gap) - ground))
                for place, gap in enumerate(gaps)
                if gap is not None and gap * sign > 0
            ),
            class_=style,
        )
    yield element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=ground, y2=ground, class_="axis")
