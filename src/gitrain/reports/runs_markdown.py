"""Recorded runs as Markdown that is also read well in a terminal."""

from collections.abc import Iterable, Mapping, Sequence

from gitrain.reports.markdown import escape, format_figure, table
from gitrain.tracking.runs import CurvePoint, RunRecord

__all__ = ["render_run", "render_runs"]

_METRICS = 4
_BOUNDS = ("_low", "_high")
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 40


def render_runs(runs: Sequence[RunRecord]) -> str:
    """One row a run, in the order given, with the metrics of the first of them that have an interval, four at most."""
    if not runs:
        return "No run is recorded yet: `gitrain run record` records the one that dvc.lock describes.\n"
    plain = [name for name in runs[0].metrics if not name.endswith(_BOUNDS)]
    # Counts and rates of the data stand among the metrics; what was measured of the model has an interval.
    metrics = ([name for name in plain if f"{name}_low" in runs[0].metrics] or plain)[:_METRICS]
    rows = [
        (
            f"`{run.short_key}`",
            _commit(run),
            _time(run),
            *(format_figure(run.metrics.get(name)) for name in metrics),
            escape(run.validation or "–"),
            f"v{run.model_version}" if run.model_version is not None else "–",
        )
        for run in runs
    ]
    header = ("run", "commit", "recorded (UTC)", *(escape(name) for name in metrics), "data", "model")
    return f"{table(header, rows, right=range(3, 3 + len(metrics)))}\n"


def render_run(run: RunRecord) -> str:
    """Everything that is kept of a run; the curves as small drawings."""
    about = [
        ("key", f"`{run.key}`"),
        ("commit", _commit(run, whole=True)),
        ("recorded (UTC)", _time(run)),
        ("data contract", escape(run.validation or "no report")),
        ("model", f"`{run.model_digest}`"),
        ("registered as", f"{escape(run.project)} v{run.model_version}" if run.model_version is not None else "–"),
        ("MLflow run", f"`{run.run_id}`" if run.run_id else "–"),
    ]
    parts = [
        f"## Run {run.short_key} of {escape(run.project)}",
        table(("", ""), [(f"**{name}**", value) for name, value in about]),
        _section("Metrics", ("metric", "value"), _with_bounds(run.metrics), right=(1,)),
        _section("Curves", ("curve", "steps", "first", "last", "drawn"), _drawn(run.curves), right=(1, 2, 3)),
        _section("Parameters", ("parameter", "value"), [(escape(k), escape(v)) for k, v in run.params.items()]),
        _section(
            "Stages",
            ("stage", "seconds"),
            [(escape(k), format_figure(v)) for k, v in run.durations.items()],
            right=(1,),
        ),
        _section("Outputs", ("path", "hash"), [(escape(k), f"`{v}`") for k, v in run.outputs.items()]),
        _section("Kept files", ("path",), [(escape(path),) for path in run.artifacts]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> str:
    shown = list(rows)
    return f"### {title}\n\n{table(header, shown, right=right)}" if shown else ""


def _with_bounds(metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    """A metric's interval stands behind it, not in rows of its own."""
    rows = []
    for name, value in metrics.items():
        if name.endswith(_BOUNDS) and name.rpartition("_")[0] in metrics:
            continue
        low, high = (metrics.get(name + bound) for bound in _BOUNDS)
        interval = f" [{format_figure(low)}, {format_figure(high)}]" if low is not None and high is not None else ""
        rows.append((escape(name), format_figure(value) + interval))
    return rows


def _drawn(curves: Mapping[str, Sequence[CurvePoint]]) -> list[tuple[str, ...]]:
    return [
        (
            escape(name),
            str(len(points)),
            format_figure(points[0].value),
            format_figure(points[-1].value),
            _sparkline([point.value for point in points]),
        )
        for name, points in curves.items()
        if points
    ]


def _sparkline(values: Sequence[float]) -> str:
    """At most forty of the values, evenly chosen, as bars from the least to the greatest."""
    count = min(len(values), _WIDTH)
    chosen = [values[round(index * (len(values) - 1) / max(count - 1, 1))] for index in range(count)]
    low, high = min(chosen), max(chosen)
    if not high > low:
        return _BARS[0] * count
    return "".join(_BARS[round((value - low) / (high - low) * (len(_BARS) - 1))] for value in chosen)


def _commit(run: RunRecord, *, whole: bool = False) -> str:
    if run.commit is None:
        return "none yet"
    name = f"`{run.commit if whole else run.commit[:7]}`"
    return f"{name} and changes" if run.dirty else name


def _time(run: RunRecord) -> str:
    offset = run.recorded_at.utcoffset()
    utc = run.recorded_at if offset is None else run.recorded_at - offset
    return utc.strftime("%Y-%m-%d %H:%M")
