"""Gitrain's commands in forks of one warm process, killed by SIGKILL where it is told.

``python -m tests.gitrain.killed_program`` reads one JSON object a line: `arguments` of `gitrain`, and either `effect`,
the number of the effect right before which it is killed, or `seconds`, after which it is, or neither; `variables` are
those of its environment alone. It answers each with one line: how it ended (-9: killed), the number of its effects, and
what it said. A killed one is answered when all that it had started, and that goes on without it, has ended too: what is
looked at then stays as it is.
"""

import io
import json
import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import psutil

# What the commands import when they are run: forks have it already.
import gitrain.cli.environments
import gitrain.integrations.github  # noqa: F401
from gitrain.cli import main

# What changes something outside of the process, as Python announces it.
EFFECTS = {
    "http.client.send",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "shutil.rmtree",
    "subprocess.Popen",
    "tempfile.mkdtemp",
}


def run(arguments: list[str], folder: Path, effect: int | None) -> int:
    """Run a command in this process; its exit code. What it said, and how many effects it had, is in `folder`."""
    number = 0

    def watch(event: str, _: object) -> None:
        nonlocal number
        if event in EFFECTS and number >= 0:
            if number == effect:
                os.kill(os.getpid(), signal.SIGKILL)
            number += 1

    sys.addaudithook(watch)
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = main(arguments)
    effects, number = number, -1
    (folder / "said").write_text(said.getvalue())
    (folder / "effects").write_text(str(effects))
    return code


def forked(
    arguments: list[str],
    *,
    effect: int | None = None,
    seconds: float | None = None,
    variables: dict[str, str] | None = None,
) -> dict[str, object]:
    """The same in a fork."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begun = time.monotonic()
        child = os.fork()
        if not child:
            os.setpgid(0, 0)
            os.environ.update(variables or {})
            os._exit(run(arguments, folder, effect))
        timer = threading.Timer(seconds, os.kill, (child, signal.SIGKILL)) if seconds is not None else None
        if timer is not None:
            timer.start()
        _, status = os.waitpid(child, 0)
        if timer is not None:
            timer.cancel()
        wait_for_group(child)
        said = folder / "said"
        return {
            "code": os.waitstatus_to_exitcode(status),
            "effects": int((folder / "effects").read_text()) if said.exists() else None,
            "seconds": time.monotonic() - begun,
            "said": said.read_text() if said.exists() else "",
        }


def wait_for_group(group: int) -> None:
    """Until no process of a group lives; who has to take notice of its end is another process, which may never do."""
    end = time.monotonic() + 120
    while any(_lives_in(group, process) for process in psutil.process_iter()):
        if time.monotonic() > end:
            raise TimeoutError(f"the group {group} lives on")
        time.sleep(0.005)


def _lives_in(group: int, process: psutil.Process) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.Error):
        return False


if __name__ == "__main__":
    for line in sys.stdin:
        wanted = json.loads(line)
        print(json.dumps(forked(wanted.pop("arguments"), **wanted)), flush=True)
