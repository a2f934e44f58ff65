"""A release as a process of this machine: started as it will be, watched, and told to stop."""

import contextlib
import math
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gitrain.environments.document import Resources
from gitrain.errors import IntegrationError
from gitrain.integrations.free_ports import free_port
from gitrain.probes.started import MemoryUse, ServedRelease, Stopped

__all__ = ["SeenProcess", "ServedProcess", "memory_of", "tree_of"]

_PROC = Path("/proc")
_WATCHING = 0.1
_TAIL = 600
_SECRET = re.compile(r"(?i)(://[^:/\s]*:)[^@\s]+@")
# What this process was told of a service must not decide about another one, and what it was trusted with is not for it.
_FORGOTTEN = re.compile(
    r"(?i)^(actions|bentoml|git|github|gitrain|runner)_|token|secret|passw|passphrase|credential|_key$"
)


@dataclass(frozen=True, kw_only=True)
class ServedProcess:
    """A `ServiceStarter`: processes of their own group and folder, on the processors that the environment declares.

    Processors are enforced where the system can bind processes to them (Linux), in whole ones: a half is one. Memory is
    measured, not enforced: a service that takes too much is told apart from one that was killed for it.

    Attributes:
        clock: seconds that only grow.
    """

    clock: Callable[[], float] = time.monotonic

    @contextlib.contextmanager
    def start(self, release: ServedRelease, resources: Resources, variables: Mapping[str, str]) -> Iterator["_Running"]:
        """Start one on a free port; on leaving it is killed, with all of its processes."""
        with tempfile.TemporaryDirectory(prefix="gitrain-service-") as scratch:
            home = Path(scratch)
            port = free_port()
            environment = {name: value for name, value in os.environ.items() if not _FORGOTTEN.search(name)}
            environment |= {
                "BENTOML_DO_NOT_TRACK": "True",
                "BENTOML_HOME": str(home / "bentoml"),
                "PYTHONPATH": os.pathsep.join(map(str, release.paths)),
                "PYTHONDONTWRITEBYTECODE": "1",
                **variables,
            }
            log = home / "log"
            begun = self.clock()
            try:
                with log.open("wb") as stream:
                    child = subprocess.Popen(
                        [part.format(port=port) for part in release.command],
                        cwd=release.folder,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=stream,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
            except OSError as error:
                raise IntegrationError(
                    f"{release.name} cannot be started: {error}", fix="install gitrain[serving]."
                ) from error
            running = _Running(child, port, log, begun, self.clock, _bind(child.pid, resources.cpu))
            try:
                yield running
            finally:
                running.kill()


class _Running:
    """A `StartedService`."""

    def __init__(
        self,
        child: "subprocess.Popen[bytes]",
        port: int,
        log: Path,
        started: float,
        clock: Callable[[], float],
        cpu_enforced: bool,
    ) -> None:
        self._child, self._log, self._clock = child, log, clock
        self.url = f"http://127.0.0.1:{port}"
        self.started = started
        self.cpu_enforced = cpu_enforced
        self._most: MemoryUse | None = None
        self._told = False
        self._seen: dict[int, str] = {}
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def gone(self) -> str:
        """Why it ended by itself; empty as long as it runs."""
        code = self._child.poll()
        if code is None or self._told:
            return ""
        return f"the service ended with {code}: {self.log()}"

    def log(self) -> str:
        """The end of what it printed; passwords in addresses are left out."""
        text = self._log.read_bytes()[-8 * _TAIL :].decode(errors="replace")
        return _SECRET.sub(r"\1***@", " ".join(text.split())[-_TAIL:])

    def memory(self) -> MemoryUse | None:
        """The most that it took since it was started."""
        return self._most

    def stop(self, patience: float) -> Stopped:
        """Tell it to stop, and wait until it has."""
        self._told = True
        begun = self._clock()
        self._child.send_signal(signal.SIGTERM)
        try:
            code, forced = self._child.wait(patience), False
        except subprocess.TimeoutExpired:
            self.kill()
            code, forced = self._child.wait(), True
        return Stopped(exit_code=code, seconds=self._clock() - begun, forced=forced)

    def kill(self) -> None:
        """End all of its processes."""
        self._ended.set()
        self._watcher.join()
        # Workers have groups of their own, and outlive the process that started them. First of all it: it would start
        # others in their place.
        self._seen |= dict(tree_of(self._child.pid))
        self._child.kill()
        for pid, begun in self._seen.items():
            if any(process == (pid, begun) for process in tree_of(pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._child.wait()

    def _watch(self) -> None:
        while not self._ended.wait(_WATCHING):
            processes = tree_of(self._child.pid)
            self._seen |= dict(processes)
            found = memory_of(processes)
            if found is not None and (self._most is None or found.total > self._most.total):
                self._most = found


def memory_of(processes: Iterable["SeenProcess"]) -> MemoryUse | None:
    """What processes take now; None where the system does not say (it is no Linux), or all are gone.

    What several of them share is counted once: the proportional set size of each, summed up (proc(5), smaps_rollup).
    """
    total = count = 0
    for process in processes:
        # It may have ended while we looked.
        with contextlib.suppress(OSError, ValueError):
            total += _proportional(_PROC / str(process.pid))
            count += 1
    return MemoryUse(total=total, processes=count) if count else None


class SeenProcess(NamedTuple):
    """A process; another one that got its number later began at another time."""

    pid: int
    begun: str


def tree_of(pid: int) -> list[SeenProcess]:
    """A process and all that it started, and what these did; empty where the system does not say."""
    found: dict[int, SeenProcess] = {}
    children: dict[int, list[int]] = {}
    for folder in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name in brackets may hold anything, brackets too: the words after the last one are numbers.
            words = (folder / "stat").read_text().rpartition(")")[2].split()
            number = int(folder.name)
            found[number] = SeenProcess(number, words[19])
            children.setdefault(int(words[1]), []).append(number)
    tree, left = [], [pid]
    while left:
        number = left.pop()
        if number in found:
            tree.append(found[number])
            left += children.get(number, [])
    return tree


def _proportional(folder: Path) -> int:
    for line in (folder / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _bind(pid: int, cpu: float) -> bool:
    """Bind a process to as many processors as it may take; False where that cannot be done."""
    wanted = math.ceil(cpu)
    if not hasattr(os, "sched_setaffinity"):
        return False
    try:
        allowed = sorted(os.sched_getaffinity(0))
        # The last ones: interrupts and whoever asks tend to sit on the first.
        os.sched_setaffinity(pid, allowed[-wanted:])
    except OSError:
        return False
    return wanted <= len(allowed) and wanted == cpu
