"""Releases as Markdown that is also read well in a terminal."""

from collections.abc import Sequence

from gitrain.release.record import ReleaseRecord
from gitrain.release.tags import release_tag
from gitrain.reports.markdown import escape, format_figure, table
from gitrain.reports.verdicts_markdown import MARKS
from gitrain.verdicts import Outcome

__all__ = ["render_release", "render_releases", "render_steps"]

_SHORT = 12


def render_releases(releases: Sequence[tuple[ReleaseRecord, Sequence[str], bool]]) -> str:
    """One row a release, in the order given.

    Args:
        releases: each with the stores that have it, and whether it is tagged.
    """
    if not releases:
        return "There is no release yet: `gitrain release build` builds one from a clean commit.\n"
    rows = [
        (
            escape(record.version),
            f"`{record.identity.commit[:7]}`",
            _time(record),
            escape(record.identity.data_through),
            f"`{_shortened(record.identity.model_digest)}`",
            record.identity.served_format,
            f"`{_shortened(record.bundle_digest)}`",
            "yes" if tagged else "no",
            escape(", ".join(stores), longest=200),
        )
        for record, stores, tagged in releases
    ]
    header = ("release", "commit", "committed (UTC)", "data", "model", "served", "bundle", "tagged", "in")
    return f"{table(header, rows)}\n"


def render_release(record: ReleaseRecord, store: str, attachments: Sequence[str]) -> str:
    """Everything that a record says."""
    identity, serving = record.identity, record.serving
    about = [
        ("record", f"`{record.digest}`"),
        ("bundle", f"`{record.bundle_digest}`, {record.files:,} files, {record.bundle_size:,} bytes"),
        ("commit", f"`{identity.commit}` of {_time(record)} UTC"),
        ("dvc.lock", f"`{identity.lock_digest}`"),
        ("data", f"`{identity.data_digest}`, through {escape(identity.data_through)}"),
        ("model", f"`{identity.model_digest}`"),
        ("served", f"`{identity.served_digest}`, {serving.format}: {escape(serving.reason, longest=400)}"),
        ("threshold", format_figure(identity.threshold)),
        ("schema", f"`{identity.schema_digest}`"),
        ("requirements.lock", f"`{identity.environment_digest}`"),
        ("its own requirements", f"`{record.requirements_digest}`"),
        ("SBOM", f"`{record.sbom_digest}`"),
        ("built for", f"Python {record.python}, {escape(record.system)} {escape(record.machine)}"),
        ("in", escape(store, longest=400)),
        ("with", escape(", ".join(attachments) or "–", longest=400)),
    ]
    gates = []
    for recorded in record.verdicts:
        outcome = f"{MARKS[Outcome(recorded.outcome)]} {recorded.outcome}"
        reason = recorded.reason if recorded.waived is None else f"{recorded.reason} (waived: {recorded.waived})"
        gates.append((outcome, escape(recorded.name), escape(reason, longest=400)))
    metrics = [(escape(name), format_figure(value)) for name, value in record.metrics.items()]
    parts = [
        f"## {escape(identity.project)} {record.version}",
        table(("", ""), [(f"**{name}**", value) for name, value in about]),
        f"### Gates\n\n{table(('verdict', 'gate', 'reason'), gates)}" if gates else "",
        f"### Metrics\n\n{table(('metric', 'value'), metrics, right=(1,))}" if metrics else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def render_steps(record: ReleaseRecord, steps: Sequence[tuple[str, bool, str]]) -> str:
    """What was done and what was there: the name of a step, whether it was done now, a sentence."""
    lines = [f"* {escape(name)}: {escape(text, longest=600)}" for name, _, text in steps]
    if not any(done for _, done, _ in steps):
        lines.append("\nNothing was new.")
    elif any(done for name, done, _ in steps if name == "tag"):
        # To be copied: the sentences above have invisible spaces, which keep a forge from reading names as mentions.
        lines.append(f"\n`git push origin {release_tag(record).name}` shows the tag to others.")
    return "\n".join(lines) + "\n"


def _time(record: ReleaseRecord) -> str:
    return record.committed_at.strftime("%Y-%m-%d %H:%M")


def _shortened(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_SHORT]
