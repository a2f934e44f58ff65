"""Find one recorded run."""

from gitrain.errors import UsageError
from gitrain.project import Project
from gitrain.tracking.runs import RunRecord, RunStore

__all__ = ["show_run"]

_SHORTEST = 4
_SHOWN = 10


def show_run(project: Project, store: RunStore, start: str) -> RunRecord:
    """The run whose key, or whose commit, begins with `start`; with its curves.

    Args:
        project: whose runs are searched.
        store: where they are.
        start: at least four characters of a key, with ``sha256:`` or without it, or of a commit.

    Raises:
        UsageError: no run, or more than one, begins so; the message lists them.
        IntegrationError: the store cannot be reached.
    """
    wanted = start.strip().lower().removeprefix("sha256:")
    if len(wanted) < _SHORTEST:
        raise UsageError(
            f"{start!r} is too short to name a run", fix=f"give at least {_SHORTEST} characters of its key."
        )
    runs = store.list(project.name)
    found = [run for run in runs if run.key.removeprefix("sha256:").startswith(wanted)]
    found = found or [run for run in runs if (run.commit or "").startswith(wanted)]
    if len(found) == 1:
        whole = store.get(project.name, found[0].key)
        return found[0] if whole is None else whole
    if not found:
        fix = f"choose one of: {_listed(runs)}." if runs else "record one: `gitrain run record`."
        raise UsageError(f"no recorded run of {project.name!r} begins with {start!r}", fix=fix)
    raise UsageError(
        f"{len(found)} recorded runs begin with {start!r}", fix=f"choose one by its key: {_listed(found)}."
    )


def _listed(runs: list[RunRecord]) -> str:
    names = [f"{run.short_key} (commit {(run.commit or 'none')[:7]})" for run in runs[:_SHOWN]]
    return ", ".join(names) + (f" and {len(runs) - _SHOWN} more" if len(runs) > _SHOWN else "")
