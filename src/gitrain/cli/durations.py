"""How long each stage took on this machine: written beside the pipeline, read when a run is recorded."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator

from gitrain.pipeline.layout import DURATIONS
from gitrain.pipeline.workspace import Workspace

__all__ = ["read_durations", "timed"]


@contextlib.contextmanager
def timed(workspace: Workspace, stage: str, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Note the seconds that the body took as those of `stage`; a body that raises notes nothing."""
    start = clock()
    yield
    durations = read_durations(workspace) | {stage: round(clock() - start, 3)}
    workspace.write_text(DURATIONS, json.dumps(durations, indent=2, sort_keys=True) + "\n")


def read_durations(workspace: Workspace) -> dict[str, float]:
    """Seconds by stage, of each stage's last run on this machine; empty if there was none."""
    if not workspace.exists(DURATIONS):
        return {}
    try:
        content = json.loads(workspace.read_text(DURATIONS))
    except ValueError:
        # Written by us alone and worth nothing by itself: a damaged file is none.
        return {}
    return {str(stage): float(seconds) for stage, seconds in content.items()}
