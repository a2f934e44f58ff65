"""What serving costs: the service with everything on, against what people use today.

    python benchmarks/service.py [--seconds 8] [--rounds 3]

Three minutes on two cores; it writes benchmarks/results/service.json and exits 1 if a bound is not kept. One model (the
flights'), the same payloads (one flight each, 2,000 of the holdout in turn), one worker on one core, the client on the
other:

* ours: ``bentoml serve`` with validation by the contract, features from SQLite, metrics and the prediction log;
* by hand: FastAPI on uvicorn with pydantic, the same look-up and scikit-learn (service_by_hand.py), nothing else;
* mlflow: ``mlflow models serve`` of the same scikit-learn pipeline, which is given the ready features.

Then ours by itself, with files of the log so small (4 MB) that copies of them are made all the time, on the core that
serves: latencies at a quarter of the most that it does (at half of it the core has no time to give away), within the
same bounds.

Throughput is taken with 16 connections, in turns, so that whatever else the machine does meets all three. Latencies are
those of an open loop at half of our own throughput, which is taken right before: requests are due at fixed times, and
are late from then on. Of several such loads the medians are judged, and all are kept.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import polars.selectors as cs
from http_client import closed_loop, open_loop, post

from flight_delay.project import PROJECT
from gitrain.integrations.free_ports import free_port
from gitrain.integrations.log_copies import copies_by_file
from gitrain.integrations.mlflow_model import write_model_folder
from gitrain.integrations.skops import TRUSTED
from gitrain.lineage import digest_of_bytes
from gitrain.probes.payloads import body_of
from gitrain.serving.known_answers import request_rows

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "service.json"
CONNECTIONS = 16
# A service meets one flight after the other; what it remembers of one must not be all that is measured.
FLIGHTS = 2000
AGAINST_BY_HAND, AGAINST_MLFLOW, P99_MS, PAUSE_MS, MEMORY_MB = 2.0, 15.0, 10.0, 30.0, 350.0
SMALL_FILE_MB = 4
COPYING_SHARE = 0.25
LIBRARIES = ("bentoml", "fastapi", "mlflow", "onnxruntime", "polars", "scikit-learn", "uvicorn", "uvloop")


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that runs."""

    name: str
    port: int
    process: int
    requests: Sequence[bytes]

    @property
    def worker(self) -> int:
        """The process that answers: of all that were started the one that takes the most memory."""
        return max(descendants(self.process), key=memory_mb)

    @property
    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(process: int) -> float:
    """What it holds in memory (RSS)."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def descendants(process: int) -> list[int]:
    found = [process]
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += descendants(int(child))
    return found


@contextlib.contextmanager
def running(
    name: str, command: list[str], port: int, requests: Sequence[bytes], *, ready: str, folder: Path, **environment: str
) -> Iterator[Server]:
    # The first core serves, the second asks.
    pinned = ["taskset", "-c", "0", *command] if shutil.which("taskset") else command
    settings = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "POLARS_", "GITRAIN_"))
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (folder / f"{name}.log").open("w") as log:
        child = subprocess.Popen(
            pinned, cwd=ROOT, env={**settings, "PATH": path, **environment}, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            wait_for(f"http://127.0.0.1:{port}{ready}", child, folder / f"{name}.log")
            yield Server(name=name, port=port, process=child.pid, requests=requests)
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(60)


def wait_for(url: str, child: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and child.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310
            return
        time.sleep(0.1)
    raise SystemExit(f"{url} does not answer:\n{log.read_text()[-3000:]}")


def mlflow_folder(folder: Path) -> Path:
    """The judged model as MLflow has it: the same bytes."""
    target = folder / "mlflow"
    target.mkdir()
    content = (ROOT / "models" / "model.skops").read_bytes()
    write_model_folder(
        target,
        content,
        digest=digest_of_bytes(content),
        created=datetime(2026, 1, 1, tzinfo=UTC),
        python=platform.python_version(),
        requirements=[f"scikit-learn=={importlib.metadata.version('scikit-learn')}"],
        trusted_types=TRUSTED,
    )
    return target


def payloads() -> tuple[list[bytes], list[bytes]]:
    """Requests for flights of the holdout, and the same with the features that the pipeline made for them."""
    entity = PROJECT.features.entity
    batch = max((ROOT / "data" / "features").glob("*.parquet")).name
    flights = pl.read_parquet(ROOT / "data" / "validated" / entity.table / batch).sample(FLIGHTS, seed=1)
    features = flights.join(pl.read_parquet(ROOT / "data" / "features" / batch), on=entity.key, maintain_order="left")
    names = list(json.loads((ROOT / "models" / "known_answers.json").read_text())["rows"][0]["features"])
    ready = features.select(names).with_columns(cs.numeric().cast(pl.Float64))
    asked = [
        post("/predict", body_of(entity.table, [row])) for row in request_rows(flights.select(entity.known_in_advance))
    ]
    tables = ({"dataframe_split": {"columns": names, "data": [row]}} for row in ready.rows())
    return asked, [post("/invocations", json.dumps(table).encode()) for table in tables]


@contextlib.contextmanager
def our_service(name: str, log: Path, folder: Path, flights: Sequence[bytes], **environment: str) -> Iterator[Server]:
    port = free_port()
    service = [sys.executable, "-m", "bentoml", "serve", "flight_delay.service:FlightDelay", "--host", "127.0.0.1"]
    with running(
        name,
        [*service, "--port", str(port)],
        port,
        flights,
        ready="/readyz",
        folder=folder,
        GITRAIN_PREDICTION_LOG=str(log),
        BENTOML_HOME=str(folder / "bentoml"),
        BENTOML_DO_NOT_TRACK="True",
        **environment,
    ) as server:
        yield server


@contextlib.contextmanager
def servers(
    folder: Path, flights: Sequence[bytes], ready: Sequence[bytes], store: dict[str, str]
) -> Iterator[list[Server]]:
    python, ports = sys.executable, [free_port() for _ in range(2)]
    by_hand = [python, "-m", "uvicorn", "service_by_hand:app", "--app-dir", "benchmarks", "--no-access-log"]
    # Without an environment of its own; one worker, as the others have.
    mlflow = ["mlflow", "models", "serve", "--model-uri", str(mlflow_folder(folder)), "--env-manager", "local"]
    one_thread = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    with (
        our_service("ours", folder / "predictions", folder, flights, **store) as ours,
        running(
            "by hand",
            [*by_hand, "--port", str(ports[0])],
            ports[0],
            flights,
            ready="/docs",
            folder=folder,
            **store,
            **one_thread,
        ) as hand,
        running(
            "mlflow",
            [*mlflow, "--workers", "1", "--port", str(ports[1])],
            ports[1],
            ready,
            ready="/ping",
            folder=folder,
            **one_thread,
            MLFLOW_DISABLE_TELEMETRY="true",
        ) as with_mlflow,
    ):
        yield [ours, hand, with_mlflow]


def online_store(folder: Path) -> dict[str, str]:
    """A store with all histories, as the variable that names it."""
    url = f"sqlite:///{folder}/online.sqlite"
    gitrain = [sys.executable, "-m", "gitrain", "features", "materialize", "--store", url]
    subprocess.run(gitrain, cwd=ROOT, check=True, capture_output=True)
    return {"GITRAIN_ONLINE_STORE": url}


def agree(found: list[Server]) -> None:
    """All three must say the same of a flight; else the comparison would be worth nothing."""
    for number in range(20):
        scores = [score(server, server.requests[number]) for server in found]
        assert max(scores) - min(scores) < 1e-6, scores


def score(server: Server, request: bytes) -> float:
    head, _, body = request.partition(b"\r\n\r\n")
    path = head.split(b" ")[1].decode()
    asked = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", body, {"content-type": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
        first = json.loads(answer.read())["predictions"][0]
    return float(first["probability"] if isinstance(first, dict) else first[1])


def part_load(server: Server, seconds: float, share: float = 0.5) -> dict[str, float]:
    """Latencies at a share of what the server does just now: a machine that is shared is not as fast at all times."""
    most = closed_loop(server.port, server.requests, connections=CONNECTIONS, seconds=2).rate
    paced = open_loop(server.port, server.requests, rate=most * share, seconds=seconds)
    return {"rate": round(most * share, 1), **paced.as_row()}


def while_copying(
    folder: Path, flights: Sequence[bytes], store: dict[str, str], *, rounds: int, seconds: float
) -> list[dict[str, float]]:
    """Loads of a service whose log has copies made of it all the time, with how many were made meanwhile.

    A quarter of the most: at half of it requests are answered one by one, which leaves the core no time to give away.
    """
    found = []
    log, small = folder / "copied", {"GITRAIN_PREDICTION_LOG_FILE_MB": str(SMALL_FILE_MB)}
    with our_service("ours, copying", log, folder, flights, **store, **small) as server:
        closed_loop(server.port, server.requests, connections=CONNECTIONS, seconds=2)
        for _ in range(rounds):
            before = len(copies_by_file(log))
            load = part_load(server, seconds, COPYING_SHARE)
            copies, memory = len(copies_by_file(log)) - before, round(memory_mb(server.worker), 1)
            found.append({**load, "copies": copies, "memory_mb": memory})
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    rates: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gitrain-service-")))
        (flights, ready), store = payloads(), online_store(folder)
        found = stack.enter_context(servers(folder, flights, ready, store))
        agree(found)
        os.sched_setaffinity(0, cores[-1:])
        for server in found:
            closed_loop(server.port, server.requests, connections=CONNECTIONS, seconds=2)
        for _ in range(arguments.rounds):
            for server in found:
                before = server.cpu_seconds
                load = closed_loop(server.port, server.requests, connections=CONNECTIONS, seconds=arguments.seconds)
                assert load.failures == 0, (server.name, load.statuses)
                rates.setdefault(server.name, []).append(load.rate)
                cpu.setdefault(server.name, []).append(1000 * (server.cpu_seconds - before) / len(load.latencies))
                print(f"{server.name:<8} {load.rate:>8.0f} requests/s  {cpu[server.name][-1]:.3f} ms CPU", flush=True)
        throughput = {server: statistics.median(each) for server, each in rates.items()}
        paced = [part_load(found[0], arguments.seconds) for _ in range(arguments.rounds)]
        memory = {server.name: round(memory_mb(server.worker), 1) for server in found}
        copying = while_copying(folder, flights, store, rounds=arguments.rounds, seconds=arguments.seconds)
    ratios = {
        "by hand": statistics.median(a / b for a, b in zip(rates["ours"], rates["by hand"], strict=True)),
        "mlflow": statistics.median(a / b for a, b in zip(rates["ours"], rates["mlflow"], strict=True)),
    }
    latency = {name: statistics.median(each[name] for each in paced) for name in paced[0]}
    beside = {name: statistics.median(each[name] for each in copying) for name in copying[0]}
    passed = {
        "throughput against by hand": ratios["by hand"] >= AGAINST_BY_HAND,
        "throughput against mlflow": ratios["mlflow"] >= AGAINST_MLFLOW,
        "p99 at half load": latency["p99_ms"] <= P99_MS,
        "longest pause": latency["max_ms"] <= PAUSE_MS,
        "p99 while copies are made": beside["p99_ms"] <= P99_MS,
        "longest pause while copies are made": beside["max_ms"] <= PAUSE_MS,
        "copies are made": sum(each["copies"] for each in copying) >= arguments.rounds,
        "memory": max(memory["ours"], *(each["memory_mb"] for each in copying)) <= MEMORY_MB,
        "failures": all(each["failures"] == 0 for each in (*paced, *copying)),
    }
    said = {"ratios": ratios, "half load": latency, "while copies are made": beside, "memory_mb": memory}
    print(json.dumps({**said, "passed": passed}, indent=2))
    result = {
        "schema_version": 1,
        "limits": {
            "against_by_hand": AGAINST_BY_HAND,
            "against_mlflow": AGAINST_MLFLOW,
            "p99_ms": P99_MS,
            "pause_ms": PAUSE_MS,
            "memory_mb": MEMORY_MB,
        },
        "passed": all(passed.values()),
        "cores": len(cores),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in LIBRARIES},
        },
        "measured": [
            {
                "server": server,
                "requests_per_second_at_16": round(throughput[server], 1),
                "cpu_ms_per_request": round(statistics.median(cpu[server]), 3),
                "memory_mb": memory[server],
            }
            for server in rates
        ],
        "median_ratios": {name: round(ratio, 2) for name, ratio in ratios.items()},
        "half_load": latency,
        "half_loads": paced,
        "quarter_load_while_copies_are_made": beside,
        "quarter_loads_while_copies_are_made": copying,
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0 if all(passed.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
