"""The timeline of a rehearsal: what each step proved, what users saw, and where to look."""

from collections.abc import Sequence

from gitrain.pipeline.rehearsal import Rehearsal, Requests, Step, StepResult
from gitrain.reports.markdown import escape, table
from gitrain.reports.verdicts_markdown import MARKS
from gitrain.verdicts import Outcome

__all__ = ["render_rehearsal", "render_steps"]

_LEFT_OUT = "– left out"


def render_steps(steps: Sequence[Step]) -> str:
    """What a rehearsal will do."""
    rows = [
        (str(number), step.name, escape(step.proves, longest=200), escape(step.lacks, longest=200) or "–")
        for number, step in enumerate(steps, start=1)
    ]
    return table(("", "step", "what it proves", "left out, because"), rows, right=(0,))


def render_rehearsal(rehearsal: Rehearsal, *, folder: str, stop: str | None) -> str:
    """A rehearsal as Markdown that is also read well in a terminal.

    Args:
        rehearsal: its steps and how they ended.
        folder: the scratch folder, as the reader would type it.
        stop: the command, without the environment, that ends what was left running; None if nothing was.
    """
    outcome = rehearsal.outcome
    parts = [
        f"# {MARKS[outcome]} {escape(rehearsal.project)}: {_headline(rehearsal)}",
        _users(rehearsal.requests),
        _timeline(rehearsal.results),
        "## Where to look",
        _where(rehearsal, folder, stop),
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _headline(rehearsal: Rehearsal) -> str:
    failed = [result for result in rehearsal.results if result.outcome not in (None, Outcome.PASSED)]
    if failed:
        return f"step {failed[0].step.name} did not prove what it should"
    if rehearsal.requests.failed:
        return f"{rehearsal.requests.failed:,} requests of users failed"
    taken = sum(result.outcome is not None for result in rehearsal.results)
    minutes, seconds = divmod(round(rehearsal.seconds), 60)
    return f"the loop holds: {taken} steps in {minutes} min {seconds:02d} s"


def _users(requests: Requests) -> str:
    if not requests.total:
        return ""
    figures = ""
    if requests.p50_ms is not None and requests.p99_ms is not None and requests.longest_ms is not None:
        figures = (
            f" Half were answered within {requests.p50_ms:.0f} ms, 99 in 100 within {requests.p99_ms:.0f} ms, all "
            f"within {requests.longest_ms:,.0f} ms, beside whatever was trained and tried meanwhile."
        )
    seen = f"{requests.total:,} requests of users in {requests.seconds:.0f} s, {requests.failed:,} failed"
    ways = ", ".join(f"{count:,} {why}" for why, count in requests.failures.items())
    return f"**{seen}{f' ({ways})' if ways else ''}.**{figures}"


def _timeline(results: Sequence[StepResult]) -> str:
    lines, clock = [], 0.0
    for number, result in enumerate(results, start=1):
        mark = _LEFT_OUT if result.outcome is None else MARKS[result.outcome]
        at = f"{int(clock) // 60}:{int(clock) % 60:02d}"
        took = f", {result.seconds:.1f} s" if result.outcome is not None else ""
        lines.append(f"{number}. {mark} **{result.step.name}** ({at}{took}): {escape(result.step.proves, longest=200)}")
        lines += [f"   * {escape(said, longest=400)}" for said in result.said]
        clock += result.seconds
    return "\n".join(lines)


def _where(rehearsal: Rehearsal, folder: str, stop: str | None) -> str:
    rows = [f"* {escape(name)}: `{place}`" for name, place in rehearsal.where]
    commands = [
        f"$ cd {folder}/repository",
        "$ git log --oneline --graph --all     # branches, merges, promotions, the way back",
        "$ git show deployments --stat         # the records: who, when, which digest, what was judged",
        "$ gitrain release list                # what was built",
        "$ gitrain env history production      # what ran, who approved it and why",
        "$ gitrain run list                    # what MLflow knows",
    ]
    text = "\n".join(rows) + "\n\n```console\n" + "\n".join(commands) + "\n```"
    if stop is not None:
        text += (
            f"\n\nThe environments still run. To end them: `{stop} test`, and so on; the next rehearsal does it too."
        )
    return text
