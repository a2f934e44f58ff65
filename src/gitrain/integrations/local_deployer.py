"""The deployer of one machine: `bentoml serve` processes behind a proxy, and a folder that knows of all of them.

::

    STATE/environments/NAME/
        lock                    who changes the environment now
        under-way.json          the deployment that has begun and is not recorded yet
        route.json              where the proxy was last told to send requests
        copies.json             where services send copies of requests, while a canary has some
        proxy/HOST-PORT/        the proxy's own files
        replicas/ID/            replica.json, log, and the BENTOML_HOME of one replica
        logs/                   of replicas that were ended
        online.sqlite           the online store, unless GITRAIN_ONLINE_STORE names another
        predictions/            the log of predictions

A replica's file is there before its process is, and its process carries the file's folder in a variable: whoever is
killed between the two leaves nothing that the next run would not find.
"""

import contextlib
import fcntl
import http.client
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import AwareDatetime, Field

from gitrain.deployment.deployer import Bundle
from gitrain.deployment.record import RunningRelease
from gitrain.deployment.replicas import Observed, Replica, UnderWay
from gitrain.deployment.routing import Backend, Proxy
from gitrain.documents import Document, Section, parse_json
from gitrain.environments.document import Runtime
from gitrain.errors import DeploymentError, SettingsError
from gitrain.integrations.free_ports import free_port
from gitrain.integrations.local_process import LocalProcess, processes_with, start_detached
from gitrain.serving.shadow import COPIES, CopyOrder

__all__ = ["REPLICA", "LocalDeployer", "bentoml_command"]

#: The variable by which a replica's processes are known: the folder of its file.
REPLICA = "GITRAIN_REPLICA"

_FILE, _LOG = "replica.json", "log"
_UNDER_WAY, _ROUTE, _LOCK = "under-way.json", "route.json", "lock"
_READY_SECONDS = 2.0
_TAIL = 600
_KEPT_LOGS = 20
_SECRET = re.compile(r"(?i)(://[^:/\s]*:)[^@\s]+@")
# What belongs to the job that deploys, not to the service; and what would point the service elsewhere.
_FORGOTTEN = re.compile(
    r"^(ACTIONS|BENTOML|GIT|GITHUB|GITRAIN(?!_PREDICTION_LOG_)|INPUT|PYTHON|RUNNER)_|^PYTHON|^VIRTUAL_ENV$"
)
_CONFIDENTIAL = re.compile(r"(?i)token|secret|passw|credential|private|_key$|_key_|_pat$")

_DocumentT = TypeVar("_DocumentT", bound=Document)


class _ReplicaFile(Document):
    """What is known of a replica: written before its process is started, and again after that."""

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    release: RunningRelease
    port: int = Field(ge=1, le=65_535)
    began: AwareDatetime
    pid: int | None = None
    started: float | None = None


class _RoutedTo(Section):
    port: int
    weight: int


class _RouteFile(Document):
    """What the proxy was last told."""

    listen: str
    backends: tuple[_RoutedTo, ...]


def bentoml_command(python: Path, bundle: Path, port: int) -> tuple[str, ...]:
    """What serves a bundle: BentoML, by the Python that has what the bundle requires."""
    return (str(python), "-m", "bentoml", "serve", str(bundle), "--host", "127.0.0.1", "--port", str(port))


class LocalDeployer:
    """A `Deployer` of this machine.

    Args:
        folder: of the environment; made if need be.
        listen: the address that users reach.
        open_proxy: gives the proxy that keeps its files in a folder and listens at an address.
        python: gives the Python that has what a bundle requires; it is made if there is none.
        command: gives what serves a bundle.
        variables: of this process; services inherit what is neither this job's own nor confidential.
        clock: the time.
        pause: waits some seconds.
    """

    def __init__(
        self,
        folder: Path,
        listen: str,
        *,
        open_proxy: Callable[[Path, str], Proxy],
        python: Callable[[Bundle], Path],
        command: Callable[[Path, Path, int], Sequence[str]] = bentoml_command,
        variables: Mapping[str, str] = os.environ,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = folder.absolute()
        self._listen = listen
        self._open_proxy = open_proxy
        self._python = python
        self._command = command
        self._variables = variables
        self._clock = clock
        self._pause = pause

    @property
    def url(self) -> str:
        """The address that users reach."""
        host, _, port = self._listen.rpartition(":")
        return f"http://{'127.0.0.1' if host in {'0.0.0.0', '[::]'} else host}:{port}"  # noqa: S104  (compared)

    @property
    def folder(self) -> Path:
        """Where the environment's state, logs and predictions are kept."""
        return self._folder

    @property
    def proxy_folder(self) -> Path:
        """Where the proxy that users reach now keeps its own files; the file may want them elsewhere by now."""
        route = self._read(_ROUTE, _RouteFile)
        return self._folder / "proxy" / _plain(self._listen if route is None else route.listen)

    @property
    def online_store(self) -> str:
        """The store that services look features up in."""
        return self._variables.get("GITRAIN_ONLINE_STORE") or f"sqlite:///{self._folder}/online.sqlite"

    @contextlib.contextmanager
    def hold(self, who: str, since: str, *, wait: float) -> Iterator[None]:
        """Keep others from changing the environment; the lock ends with this process, however that ends."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / _LOCK).open("a+", encoding="utf-8") as lock:
            if not self._locked(lock.fileno(), wait):
                lock.seek(0)
                holder = lock.read(400).strip() or "another process"
                raise DeploymentError(
                    f"the environment {self._folder.name} is being changed by {holder}",
                    fix="wait until that has ended, as --wait S does, or end it: the next run mends what it began.",
                )
            lock.seek(0)
            lock.truncate()
            lock.write(f"{who} (process {os.getpid()}, since {since})\n")
            lock.flush()
            try:
                yield
            finally:
                lock.truncate(0)

    def observe(self) -> Observed:
        """What runs now; nothing is changed."""
        files = self._files()
        with ThreadPoolExecutor(max(1, min(16, len(files)))) as pool:
            replicas = tuple(pool.map(self._seen, files))
        route = self._read(_ROUTE, _RouteFile)
        backends: tuple[Backend, ...] = ()
        routed = None
        if route is not None:
            routed = self._proxy(route.listen).routed()
            told = [Backend(each.port, each.weight) for each in route.backends]
            backends = tuple(routed if routed is not None else told)
        # One more than the one that was told last: a run was killed while users were led to another address.
        several = len(list((self._folder / "proxy").glob("*"))) > 1
        return Observed(
            replicas=tuple(sorted(replicas, key=lambda each: (each.began, each.id))),
            backends=backends,
            proxied=routed is not None,
            listen=None if route is None else "" if several else route.listen,
            under_way=self._read(_UNDER_WAY, UnderWay),
        )

    def prepare(self, bundle: Bundle) -> None:
        """Make the environment of Python that the release needs, if there is none yet."""
        self._python(bundle)

    def start(self, bundle: Bundle, runtime: Runtime) -> Replica:
        """Start a replica; it is not waited for."""
        python = self._python(bundle)
        identity = uuid.uuid4().hex[:12]
        folder = self._folder / "replicas" / identity
        release = RunningRelease(version=bundle.record.version, digest=bundle.record.bundle_digest)
        file = _ReplicaFile(schema_version=1, id=identity, release=release, port=self._port(), began=self._clock())
        self._write(folder / _FILE, file)
        process = start_detached(
            self._command(python, bundle.folder, file.port),
            folder=bundle.folder / "src",
            log=folder / _LOG,
            environment=self._environment(bundle, folder),
        )
        file = file.model_copy(update={"pid": process.pid, "started": process.started})
        self._write(folder / _FILE, file)
        return Replica(id=identity, release=release, port=file.port, pid=process.pid, began=file.began)

    def look(self, replica: Replica) -> Replica:
        """The replica as it is now: whether it lives, and is ready."""
        file = self._read(f"replicas/{replica.id}/{_FILE}", _ReplicaFile)
        if file is None:
            return Replica(
                id=replica.id, release=replica.release, port=replica.port, pid=None, began=replica.began, alive=False
            )
        return self._seen(file)

    def log(self, replica: Replica) -> str:
        """The end of what a replica printed, in one line; passwords in addresses are left out."""
        path = self._folder / "replicas" / replica.id / _LOG
        if not path.exists():
            return ""
        text = path.read_bytes()[-8 * _TAIL :].decode(errors="replace")
        return _SECRET.sub(r"\1***@", " ".join(text.split())[-_TAIL:])

    def route(self, listen: str, backends: Sequence[Backend]) -> None:
        """Send all requests to these from now on, and listen there."""
        self._proxy(listen).route(backends)
        told = tuple(_RoutedTo(port=each.port, weight=each.weight) for each in backends)
        self._write(self._folder / _ROUTE, _RouteFile(schema_version=1, listen=listen, backends=told))
        for folder in (self._folder / "proxy").glob("*"):
            if folder.name != _plain(listen):
                self._open_proxy(folder, listen).stop()
                shutil.rmtree(folder, ignore_errors=True)

    def copy_requests(self, to: Replica | None, percent: int = 0) -> None:
        """Say in a file, which all replicas look at, where copies of requests go."""
        path = self._folder / COPIES
        if to is None:
            path.unlink(missing_ok=True)
        else:
            self._write(path, CopyOrder(schema_version=1, port=to.port, release=to.release.version, percent=percent))

    def stop(self, replicas: Sequence[Replica], *, patience: float) -> None:
        """End replicas, whatever is left of them, and forget them."""
        with ThreadPoolExecutor(max(1, min(16, len(replicas)))) as pool:
            list(pool.map(lambda replica: self._end(replica.id, patience), replicas))
        for folder in (self._folder / "replicas").glob("*"):
            # A run was killed before it had written the file, or while it removed the folder.
            if not (folder / _FILE).exists():
                shutil.rmtree(folder, ignore_errors=True)
        for log in sorted((self._folder / "logs").glob("*.log"), key=lambda path: path.stat().st_mtime)[:-_KEPT_LOGS]:
            log.unlink(missing_ok=True)

    def stop_proxy(self) -> None:
        """End the proxy, wherever it listens: nobody does where users ask any more."""
        self.copy_requests(None)
        for folder in (self._folder / "proxy").glob("*"):
            self._open_proxy(folder, self._listen).stop()
        shutil.rmtree(self._folder / "proxy", ignore_errors=True)
        (self._folder / _ROUTE).unlink(missing_ok=True)

    def note(self, under_way: UnderWay | None) -> None:
        """Write down how far a deployment is; None: it is recorded."""
        path = self._folder / _UNDER_WAY
        if under_way is None:
            path.unlink(missing_ok=True)
        else:
            self._write(path, under_way)

    def _end(self, identity: str, patience: float) -> None:
        folder = self._folder / "replicas" / identity
        process = self._process(self._read(f"replicas/{identity}/{_FILE}", _ReplicaFile))
        if process is not None:
            process.end(patience=patience, pause=self._pause)
        # Workers of a process that was killed outlive it, and hold the port.
        while left := processes_with(REPLICA, str(folder)):
            for each in left:
                each.end(patience=0.0, pause=self._pause)
            # They may wait for a core to die on.
            self._pause(0.05)
        if (folder / _LOG).exists():
            logs = self._folder / "logs"
            logs.mkdir(exist_ok=True)
            os.replace(folder / _LOG, logs / f"{identity}.log")
        (folder / _FILE).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    def _seen(self, file: _ReplicaFile) -> Replica:
        process = self._process(file)
        alive = process is not None and process.alive
        return Replica(
            id=file.id,
            release=file.release,
            port=file.port,
            pid=process.pid if process is not None else None,
            began=file.began,
            alive=alive,
            ready=alive and _answers_ready(file.port),
            memory=process.memory if process is not None else 0,
        )

    def _process(self, file: _ReplicaFile | None) -> LocalProcess | None:
        if file is None:
            return None
        marked = str(self._folder / "replicas" / file.id)
        if file.pid is None or file.started is None:
            # Whoever started it was killed before it knew whom.
            return next(iter(processes_with(REPLICA, marked)), None)
        process = LocalProcess(pid=file.pid, started=file.started)
        if process.alive:
            return process
        # A clock that was set moves the times of all starts; the variable stays.
        found = (each for each in processes_with(REPLICA, marked) if each.pid == file.pid)
        return next(found, process)

    def _files(self) -> list[_ReplicaFile]:
        names = sorted(path.parent.name for path in (self._folder / "replicas").glob(f"*/{_FILE}"))
        found = (self._read(f"replicas/{name}/{_FILE}", _ReplicaFile) for name in names)
        return [file for file in found if file is not None]

    def _proxy(self, listen: str) -> Proxy:
        return self._open_proxy(self._folder / "proxy" / _plain(listen), listen)

    def _port(self) -> int:
        # A replica that is starting has not bound its port yet.
        return free_port({file.port for file in self._files()})

    def _environment(self, bundle: Bundle, folder: Path) -> dict[str, str]:
        kept = {
            name: value
            for name, value in self._variables.items()
            if not _FORGOTTEN.search(name) and not _CONFIDENTIAL.search(name)
        }
        return {
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
            **kept,
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": str(folder / "bentoml"),
            "GITRAIN_COPIES": str(self._folder / COPIES),
            "GITRAIN_ONLINE_STORE": self.online_store,
            "GITRAIN_PREDICTION_LOG": str(self._folder / "predictions"),
            "PYTHONPATH": str(bundle.folder / "src"),
            # A bundle is verified each time that it is used: nothing may be added to it.
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            REPLICA: str(folder),
        }

    def _locked(self, descriptor: int, wait: float) -> bool:
        for attempt in range(int(wait / 0.1) + 1):
            if attempt:
                self._pause(0.1)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
        return False

    def _read(self, name: str, kind: type[_DocumentT]) -> _DocumentT | None:
        path = self._folder / name
        try:
            return parse_json(kind, path.read_text(encoding="utf-8"), source=str(path))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, SettingsError) as error:
            what = error.what if isinstance(error, SettingsError) else f"{path} cannot be read: {error}"
            raise DeploymentError(what, fix=f"look at what runs, remove {path}, and run the command again.") from error

    def _write(self, path: Path, document: Document) -> None:
        from gitrain.integrations.files import replacing  # polars comes with it, which not every pass needs

        with replacing(path) as stream:
            stream.write(json.dumps(document.model_dump(mode="json"), indent=2, sort_keys=True).encode() + b"\n")


def _answers_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_READY_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _plain(listen: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", listen)
