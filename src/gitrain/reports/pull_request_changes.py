"""What the report on a pull request says of the change itself: parameters, data, dependencies, code, time, commands."""

import re

from gitrain.pipeline.changes import RESULTS, AreaChange, BatchChange, DataChanges, ValueChange
from gitrain.pipeline.file_change import FileChange
from gitrain.reports.markdown import escape, format_figure
from gitrain.reports.pull_request_blocks import Block, code, counted, more, row_levels, table_of
from gitrain.reports.pull_request_document import GapSection, PullRequestReport

__all__ = ["changes_blocks", "gaps_of", "reproduce_block", "summary_line", "time_block"]

_PLAIN_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,80}")
_CALM = re.compile(r"(?i)www\.|^-")


def gaps_of(report: PullRequestReport, section: GapSection) -> list[str]:
    """What could not be found out, one paragraph."""
    found = [gap.reason for gap in report.gaps if gap.section == section]
    return [f"*Not known: {escape('; '.join(found), longest=400)}.*"] if found else []


def summary_line(report: PullRequestReport) -> Block:
    """What differs, in one line."""
    said = []
    if report.parameters:
        first = report.parameters[0]
        rest = f" and {len(report.parameters) - 1:,} more" if len(report.parameters) > 1 else ""
        said.append(f"{code(first.name, longest=60)} {_side(first.old)} → {_side(first.new)}{rest}")
    if report.data is not None and report.data.rows_before is not None and report.data.rows != report.data.rows_before:
        said.append(f"{report.data.rows - report.data.rows_before:+,} rows of data")
    if report.dependencies:
        said.append(counted(len(report.dependencies), "dependency", "dependencies"))
    written = [area for area in report.code if area.area != RESULTS]
    if written:
        added, deleted = sum(area.added for area in written), sum(area.deleted for area in written)
        files = sum(len(area.files) for area in written)
        said.append(f"{counted(files, 'file')} (+{added:,} −{deleted:,}) besides what the pipeline wrote")
    if report.commits.base is None:
        return Block(name="summary", priority=95, levels=())
    text = " · ".join(said) if said else "nothing but what the pipeline wrote" if report.code else "nothing"
    return Block(name="summary", priority=95, levels=(f"**What changed:** {text}.",))


def changes_blocks(report: PullRequestReport) -> list[Block]:
    """Everything that may explain a difference, one block a kind."""
    if report.commits.base is None:
        said = "### What explains it\n\nNo base was named, so nothing is compared: `--base origin/main`."
        return [Block(name="what explains it", priority=70, levels=(said,))]
    base = f"commit {report.commits.base[:12]}"
    if report.commits.ref is not None and report.commits.ref != report.commits.base:
        base += f" ({code(report.commits.ref)})"
    return [
        Block(name="heading", priority=95, levels=(f"### What explains it\n\nAgainst {base}.",)),
        _values(report, "parameters", "Parameters", report.parameters, priority=75),
        _model(report),
        _data(report),
        _stages(report),
        _values(report, "dependencies", "Dependencies", report.dependencies, priority=65),
        _code(report),
    ]


def time_block(report: PullRequestReport) -> Block:
    """How long the stages and the checks took."""
    parts = []
    if report.durations:
        shown = list(report.durations.items())[:12]
        stages = " · ".join(f"{code(name, longest=30)} {_seconds(seconds)}" for name, seconds in shown)
        total = _seconds(sum(report.durations.values()))
        parts.append(f"Stages: {stages}; {total} together, each at its last run on this machine.")
    checks = {name: seconds for each in report.checks for name, seconds in each.seconds.items()}
    if checks:
        groups = " · ".join(f"{code(name, longest=30)} {_seconds(value)}" for name, value in list(checks.items())[:12])
        parts.append(f"Checks: {groups}; {_seconds(sum(checks.values()))} together.")
    if report.runner_minutes is not None:
        parts.append(f"Continuous integration: {report.runner_minutes:,.1f} runner minutes.")
    parts += gaps_of(report, "time")
    if not parts:
        return Block(name="time", priority=20, levels=())
    return Block(name="time", priority=20, levels=("\n\n".join(["### Time and cost", *parts]),))


def reproduce_block(report: PullRequestReport) -> Block:
    """The commands that make this report on another machine."""
    commits = report.commits
    lines = []
    if commits.head is not None:
        lines += [f"git fetch origin {commits.head}", f"git checkout {commits.head}"]
    lines.append("dvc repro --pull")
    base = ""
    if commits.base is not None:
        ref = commits.ref or ""
        plain = _PLAIN_REF.fullmatch(ref) and not _CALM.search(ref)
        base = f" --base {ref if plain else commits.base}"
    lines += [f"gitrain check all{base}", f"gitrain gate check{base}", f"gitrain report pr{base} --out report.md"]
    fence = "\n".join(["```console", *(f"$ {line}" for line in lines), "```"])
    text = f"<details><summary>Reproduce it</summary>\n\n{fence}\n\n</details>"
    return Block(name="how to reproduce it", priority=50, levels=(text,))


def _values(
    report: PullRequestReport, section: GapSection, title: str, changes: tuple[ValueChange, ...], *, priority: int
) -> Block:
    known = gaps_of(report, section)
    head = f"#### {title}"
    if not changes:
        return Block(name=title.lower(), priority=priority, levels=(f"{head}\n\n{known[0]}",) if known else ())
    rows = [(code(change.name), _side(change.old), _side(change.new)) for change in changes]

    def render(most: int) -> str:
        return "\n\n".join([head, *known, table_of(("", "base", "now"), rows, most, what=title.lower())])

    return Block(name=title.lower(), priority=priority, levels=row_levels(render, len(rows), (40, 15, 5)))


def _model(report: PullRequestReport) -> Block:
    return _values(report, "model", "Model", report.model, priority=70)


def _data(report: PullRequestReport) -> Block:
    parts = gaps_of(report, "data")
    data = report.data
    if data is None:
        return Block(name="data", priority=70, levels=("\n\n".join(["#### Data", *parts]),) if parts else ())
    if data.rows_before is None:
        parts.append(f"{data.rows:,} rows, {data.quarantined:,} of them in quarantine.")
    elif data.batches or data.content:
        parts.append(_totals(data))
    if data.content and data.rows_before is not None and not data.batches:
        parts.append("⚠️ The content of `data/raw` differs, and every batch has as many rows as it had.")
    if not parts:
        return Block(name="data", priority=70, levels=())
    rows = [_batch(batch) for batch in data.batches]
    header = ("", "table", "batch", "rows", "in quarantine")

    def render(most: int) -> str:
        shown = [table_of(header, rows, most, right=(3, 4), what="batches")] if rows else []
        return "\n\n".join(["#### Data", *parts, *shown])

    return Block(name="data", priority=70, levels=row_levels(render, len(rows), (30, 12, 4)))


def _totals(data: DataChanges) -> str:
    before, quarantined_before = data.rows_before or 0, data.quarantined_before or 0
    return f"{_now(data.rows, before, 'rows')}; {_now(data.quarantined, quarantined_before, 'in quarantine')}."


def _now(count: int, before: int, noun: str) -> str:
    return f"{count:,} {noun}, {'as before' if count == before else f'{count - before:+,} against the base'}"


def _batch(batch: BatchChange) -> tuple[str, ...]:
    kind = "🆕\u00a0new" if batch.rows_before is None else "🗑️\u00a0gone" if batch.rows is None else "✏️\u00a0changed"
    return (
        kind,
        code(batch.table, longest=40),
        "all" if batch.batch is None else code(batch.batch, longest=40),
        _arrow(batch.rows_before, batch.rows),
        _arrow(batch.quarantined_before, batch.quarantined),
    )


def _arrow(old: int | None, new: int | None) -> str:
    if old is None or new is None or old == new:
        return format_figure(new if new is not None else old)
    return f"{old:,} → {new:,}"


def _stages(report: PullRequestReport) -> Block:
    parts = gaps_of(report, "stages")
    rows = [
        (
            code(change.stage, longest=40),
            ", ".join(code(cause, longest=60) for cause in change.causes[:4])
            + (f" and {len(change.causes) - 4:,} more" if len(change.causes) > 4 else "")
            or "–",
            counted(len(change.upstream), "input") if change.upstream else "–",
            counted(len(change.outputs), "output") if change.outputs else "nothing",
        )
        for change in report.stages
    ]
    if not rows and not parts:
        return Block(name="stages", priority=45, levels=())
    header = ("stage", "ran again because of", "changed upstream", "wrote anew")

    def render(most: int) -> str:
        shown = [table_of(header, rows, most, what="stages")] if rows else []
        return "\n\n".join(["#### Stages", *parts, *shown])

    return Block(name="stages", priority=45, levels=row_levels(render, len(rows), (20, 6)))


def _code(report: PullRequestReport) -> Block:
    parts = gaps_of(report, "code")
    if not report.code:
        return Block(name="code", priority=55, levels=("\n\n".join(["#### Code", *parts]),) if parts else ())
    rows = [
        (
            escape(area.area, longest=60),
            f"{len(area.files):,}",
            f"+{area.added:,}",
            f"−{area.deleted:,}",
            _largest(area),
        )
        for area in report.code
    ]
    files = [(file, area) for area in report.code for file in area.files]

    def render(most: int) -> str:
        shown = ["#### Code", *parts, table_of(("", "files", "", "", "most lines"), rows, most, right=(1, 2, 3))]
        if len(files) > len(rows) and most > 12:
            entries = "\n".join(f"* {_file(file)}" for file, _ in files[: most * 2])
            rest = more(len(files), most * 2, "files")
            summary = (
                f"<details><summary>All {len(files):,} files</summary>"
                if not rest
                else (f"<details><summary>{most * 2:,} of {len(files):,} files</summary>")
            )
            shown.append("\n\n".join([summary, entries, *([rest] * bool(rest)), "</details>"]))
        return "\n\n".join(shown)

    return Block(name="code", priority=55, levels=row_levels(render, len(files), (30, 12, 5)))


def _largest(area: AreaChange) -> str:
    return _path(area.files[0].path, 70)


def _path(path: str, longest: int) -> str:
    """A path as code; of a long one the end, which tells it from its neighbours."""
    return code(path if len(path) <= longest else f"…{path[1 - longest :]}", longest=longest)


def _file(file: FileChange) -> str:
    lines = "binary" if file.added is None or file.deleted is None else f"+{file.added:,} −{file.deleted:,}"
    was = f", was {_path(file.was, 80)}" if file.was is not None else ""
    return f"{_path(file.path, 100)} {lines}{was}"


def _side(value: str | None) -> str:
    return "–" if value is None else code(value, longest=60)


def _seconds(seconds: float) -> str:
    return f"{seconds / 60:,.1f} min" if seconds >= 120 else f"{seconds:.1f} s"
