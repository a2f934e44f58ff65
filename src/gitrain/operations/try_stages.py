"""Run the stages of a pipeline in a scratch folder and watch what they do to its files."""

from collections.abc import Callable, Iterator, Sequence
from posixpath import basename, dirname

from gitrain.checks.integration import ColumnTrial, StageRun
from gitrain.pipeline.scratch import Scratch
from gitrain.pipeline.stages import StageDefinition
from gitrain.pipeline.workspace import Workspace

__all__ = ["files_below", "try_columns", "try_stages"]

# What this machine keeps to itself; no stage has it among its inputs or outputs.
_OWN = ".gitrain"
_PASSED_OVER = ("__pycache__",)


def try_stages(
    scratch: Scratch,
    stages: Sequence[StageDefinition],
    *,
    progress: Callable[[str], None],
    clock: Callable[[], float],
) -> list[StageRun]:
    """Run each stage twice, in the given order, up to the first that fails or lacks an output.

    Between the two runs everything is removed that the first one remembered outside of its outputs, so that the second
    does the work again; its outputs are still there.

    Args:
        scratch: holds the inputs of the first stage.
        stages: each after those whose outputs it reads.
        progress: takes a line a stage.
        clock: seconds that only grow.
    """
    runs: list[StageRun] = []
    for number, stage in enumerate(stages, start=1):
        before = _digests(scratch.workspace)
        start = clock()
        exit_code, said = _run(scratch, stage)
        seconds = clock() - start
        after = _digests(scratch.workspace)
        missing = tuple(out.name for out in stage.outs if out.path is None or not scratch.workspace.exists(out.path))
        strayed = tuple(path for path in _differences(before, after) if not _is_output(path, stage))
        progress(f"integration: {number} of {len(stages)}, {stage.name}: exit code {exit_code}, {seconds:.1f} s")
        run = StageRun(
            stage=stage.name, exit_code=exit_code, said=said, missing=missing, strayed=strayed, seconds=seconds
        )
        if not run.done:
            return [*runs, run]
        for path in list(files_below(scratch.workspace, _OWN)):
            scratch.workspace.remove(path)
        again, _ = _run(scratch, stage)
        changed = tuple(path for path in _differences(after, _digests(scratch.workspace)) if _is_output(path, stage))
        runs.append(
            StageRun(
                stage=stage.name,
                exit_code=exit_code,
                said=said,
                strayed=strayed,
                repeat_exit_code=again,
                changed=changed,
                seconds=seconds,
            )
        )
    return runs


def try_columns(
    scratch: Scratch,
    stages: Sequence[StageDefinition],
    columns: Sequence[tuple[str, str]],
    *,
    progress: Callable[[str], None],
) -> list[ColumnTrial]:
    """Give each stage that reads one of some folders tables without a column; afterwards they are as they were.

    Args:
        scratch: the stages have run in it.
        stages: the stages.
        columns: folders of tables, and the column that is taken out of them.
        progress: takes a line a trial.
    """
    trials = []
    for folder, column in columns:
        readers = [stage for stage in stages if folder in stage.deps.values()]
        for stage in readers:
            kept = {}
            for path in files_below(scratch.workspace, folder):
                if path.endswith(".parquet"):
                    frame = scratch.workspace.read_table(path)
                    if column in frame.columns:
                        kept[path] = scratch.workspace.read_bytes(path)
                        scratch.workspace.write_table(path, frame.drop(column))
            exit_code, said = _run(scratch, stage)
            for path, content in kept.items():
                scratch.workspace.write_bytes(path, content)
            progress(f"integration: {stage.name} without the column {column!r}: exit code {exit_code}")
            trials.append(ColumnTrial(stage=stage.name, folder=folder, column=column, exit_code=exit_code, said=said))
    return trials


def files_below(workspace: Workspace, path: str) -> Iterator[str]:
    """The file at `path`, or all files in the folder there, hidden ones and bytecode left out; nothing if none."""
    folder, name = dirname(path) or ".", basename(path)
    if path != "." and _plain(path) in map(_plain, workspace.list(folder, name)):
        yield _plain(path)
        return
    for file in workspace.list(path, ""):
        yield _plain(file)
    for inner in workspace.folders(path):
        if basename(inner) not in _PASSED_OVER:
            yield from files_below(workspace, _plain(inner))


def _plain(path: str) -> str:
    return path.removeprefix("./")


def _run(scratch: Scratch, stage: StageDefinition) -> tuple[int, str]:
    """The exit code and what was printed, of all commands of a stage up to the first that fails, as DVC runs them."""
    said = []
    for command in [stage.cmd] if isinstance(stage.cmd, str) else stage.cmd:
        done = scratch.shell.run(("sh", "-c", f"exec 2>&1\n{command}"), capture=True)
        said.append(done.stdout)
        if done.exit_code:
            return done.exit_code, "".join(said)
    return 0, "".join(said)


def _digests(workspace: Workspace) -> dict[str, str]:
    return {path: workspace.digest(path) for path in files_below(workspace, ".")}


def _differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def _is_output(path: str, stage: StageDefinition) -> bool:
    return any(out.path is not None and (path == out.path or path.startswith(f"{out.path}/")) for out in stage.outs)
