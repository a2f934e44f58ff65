"""What a deployment takes, and what users see of it: the flights' service on this machine, behind Caddy.

    python benchmarks/deployment.py [--repository FOLDER] [--rounds 3]

Two to three minutes on two cores. FOLDER is a repository whose pipeline has been run (default: this one); its commit is
cloned with its cache and gets a bare repository as its `origin`, two environments and a store of features. Each command
is a process of its own, with all imports, as a person or a workflow starts it.

* merge: from `git merge` of a change of code, whose dvc.lock is ready, to the release that users of `test` are answered
  by: push, `release build`, `release publish`, `deploy apply` with all probes that environments/test.yaml asks for;
* no change: `deploy apply test` where all is as desired;
* switch: `production` gets another release that has never run there, by blue-green with the smoke probe, under load;
* rollback: it goes back and forth between two releases that have run there, under the same load: from the start of the
  command to the last answer of the release that has to go, and to the end of the command.

Writes benchmarks/results/deployment.json, and exits 1 if a bound does not hold: merge 30 s, no change 1 s, rollback
5 s, and no failed request of 200 a second from the first switch to the last rollback.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from release_build import prepare, run

from gitrain.documents import parse_json
from gitrain.environments.edit import with_values
from gitrain.integrations.free_ports import free_port
from gitrain.integrations.http_load import HttpLoad
from gitrain.pipeline.layout import KNOWN_ANSWERS
from gitrain.probes.arrivals import arrival_times
from gitrain.probes.load import LoadSamples
from gitrain.probes.payloads import Payload, payloads_of
from gitrain.serving.manifest import KnownAnswers

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "deployment.json"
RATE = 200.0
MOST = {"merge": 30.0, "no_change": 1.0, "rollback": 5.0, "failed_requests": 0}
TABLE = "flights"


@contextlib.contextmanager
def beside(work: Callable[[], None], leaving: threading.Event) -> Iterator[None]:
    """`work` in a thread of its own until the context is left, which sets `leaving`."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        leaving.set()
        thread.join()


@dataclass
class Users:
    """They ask at a steady rate, whatever happens, until they leave."""

    url: str
    payloads: tuple[Payload, ...]
    samples: list[LoadSamples] = field(default_factory=list)

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """As long as the context lasts."""
        leaving = threading.Event()

        def ask() -> None:
            while not leaving.is_set():
                due = arrival_times(RATE, 4.0, seed=len(self.samples))
                self.samples.append(
                    HttpLoad().run(self.url, due, self.payloads, timeout=10.0, progress=lambda line: None)
                )

        with beside(ask, leaving):
            yield

    def figures(self) -> dict[str, Any]:
        """What they saw; an answer of another form than a prediction's has failed as well."""
        statuses = Counter(int(status) for each in self.samples for status in each.status)
        milliseconds = 1000 * np.concatenate([each.done - each.due for each in self.samples])
        return {
            "requests_a_second": RATE,
            "requests": statuses.total(),
            "failed": statuses.total() - statuses[200],
            "statuses": {str(status): count for status, count in sorted(statuses.items())},
            "p50_ms": round(float(np.quantile(milliseconds, 0.5)), 2),
            "p99_ms": round(float(np.quantile(milliseconds, 0.99)), 2),
            "most_ms": round(float(milliseconds.max()), 1),
        }


@dataclass
class Watcher:
    """Asks ten times a second which release answers, and remembers when it was which."""

    url: str
    seen: list[tuple[float, str]] = field(default_factory=list)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """As long as the context lasts."""
        leaving = threading.Event()

        def watch() -> None:
            while not leaving.wait(0.1):
                self.seen.append((time.perf_counter(), version_at(self.url)))

        with beside(watch, leaving):
            yield

    def last(self, version: str) -> float:
        """When a release answered for the last time."""
        return max((at for at, seen in self.seen if seen == version), default=0.0)


def version_at(url: str) -> str:
    """The release that answers; empty if none does."""
    try:
        with urllib.request.urlopen(f"{url}/release", timeout=5) as answer:  # noqa: S310
            return str(json.loads(answer.read())["version"])
    except (OSError, ValueError, urllib.error.URLError):
        return ""


@dataclass
class Site:
    """The clone, and where its two environments listen."""

    clone: Path
    folder: Path
    test: str
    production: str

    def gitrain(self, *arguments: str) -> float:
        """Run a command of the clone's own Gitrain; the seconds that it took."""
        begun = time.perf_counter()
        run(self.clone, self.clone, sys.executable, "-m", "gitrain", *arguments)
        seconds = time.perf_counter() - begun
        print(f"{seconds:6.2f} s  gitrain {' '.join(arguments)}", file=sys.stderr, flush=True)
        return seconds

    def git(self, *arguments: str) -> str:
        return run(self.clone, self.clone, "git", *arguments).strip()

    def publish(self) -> dict[str, float]:
        """A release of the commit that is checked out; seconds by step."""
        return {
            "build": self.gitrain("release", "build"),
            "publish": self.gitrain("release", "publish", "--no-register"),
        }

    def digest(self, version: str) -> str:
        with urllib.request.urlopen(f"http://{self.test}/release", timeout=5) as answer:
            assert json.loads(answer.read())["version"] == version
        listed = json.loads(run(self.clone, self.clone, sys.executable, "-m", "gitrain", "release", "list", "--json"))
        return str(next(each["bundle_digest"] for each in listed if each["version"] == version))

    def desire(self, version: str, digest: str) -> None:
        """Commit that production wants a release."""
        path = self.clone / "environments/production.yaml"
        values = {"release": version, "digest": digest}
        path.write_text(with_values(path.read_text(), "production", values), encoding="utf-8")
        self.git("commit", "-q", "-a", "-m", f"Production runs {version}")


def main() -> int:
    """Measure, print, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repository", type=Path, default=HERE.parent)
    parser.add_argument("--rounds", type=int, default=3, help="of rollbacks")
    arguments = parser.parse_args()
    # Services belong to no terminal: whoever ends this ends them too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="gitrain-deployment-") as folder:
        site = made(arguments.repository.resolve(), Path(folder))
        try:
            measured = measure(site, arguments.rounds)
        finally:
            for name in ("test", "production"):
                site.gitrain("deploy", "stop", name)
    passed = {
        "merge": measured["merge"]["seconds"] < MOST["merge"],
        "no_change": measured["no_change"]["median"] < MOST["no_change"],
        "rollback": measured["rollback"]["most"] < MOST["rollback"],
        "failed_requests": measured["users"]["failed"] <= MOST["failed_requests"],
    }
    results = {
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "bentoml": metadata.version("bentoml"),
            "load_at_the_end": round(os.getloadavg()[0], 1),
        },
        "limits": MOST,
        "passed": all(passed.values()),
        "bounds_held": passed,
        **measured,
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({"bounds_held": passed, **measured}, indent=2))
    return 0 if results["passed"] else 1


def made(repository: Path, folder: Path) -> Site:
    """The clone with an origin, environments that listen on free ports, and features to look up."""
    clone, origin = prepare(repository, folder), folder / "origin.git"
    ports = free_ports(2)
    site = Site(clone, folder, *(f"127.0.0.1:{port}" for port in ports))
    site.git("checkout", "-q", "-B", "main")
    for name, listen in (("test", site.test), ("production", site.production)):
        path = clone / "environments" / f"{name}.yaml"
        text = re.sub(r"(listen: )\S+", rf"\g<1>{listen}", path.read_text(encoding="utf-8"), count=1)
        if name == "production":
            wanted = yaml.safe_load(text)
            # As it goes back: at once, and asked by the smoke probe alone.
            wanted |= {"strategy": {"kind": "blue-green"}}
            wanted["probes"] |= {"required": ["smoke"]}
            text = yaml.safe_dump(wanted, sort_keys=False)
        path.write_text(text, encoding="utf-8")
    site.git("commit", "-q", "-a", "-m", "Environments of a measurement")
    site.git("init", "-q", "--bare", "-b", "main", str(origin))
    with contextlib.suppress(SystemExit):
        site.git("remote", "remove", "origin")
    site.git("remote", "add", "origin", str(origin))
    site.git("push", "-q", "--no-verify", "origin", "main")
    for name in ("test", "production"):
        state = clone / ".gitrain/environments" / name
        state.mkdir(parents=True)
        if name == "test":
            site.gitrain("features", "materialize", "--store", f"sqlite:///{state}/online.sqlite")
        else:
            shutil.copyfile(clone / ".gitrain/environments/test/online.sqlite", state / "online.sqlite")
    return site


def measure(site: Site, rounds: int) -> dict[str, Any]:
    site.publish()
    site.gitrain("deploy", "apply", "test")
    former = version_at(f"http://{site.test}")
    digests = {former: site.digest(former)}
    no_change = [site.gitrain("deploy", "apply", "test") for _ in range(5)]

    merge = merged(site, former)
    latter = version_at(f"http://{site.test}")
    digests[latter] = site.digest(latter)

    known = parse_json(KnownAnswers, (site.clone / KNOWN_ANSWERS).read_text(), source=KNOWN_ANSWERS)
    url = f"http://{site.production}"
    site.desire(former, digests[former])
    site.gitrain("deploy", "apply", "production")
    assert version_at(url) == former
    users, watcher = Users(url, payloads_of(known, TABLE)), Watcher(url)
    switches: list[dict[str, float]] = []
    with users.asking(), watcher.watching():
        time.sleep(2)
        for number in range(1 + rounds):
            leaving, coming = (former, latter) if number % 2 == 0 else (latter, former)
            site.desire(coming, digests[coming])
            begun = time.perf_counter()
            command = site.gitrain("deploy", "apply", "production")
            assert version_at(url) == coming
            time.sleep(1)
            switches.append({"command": round(command, 2), "traffic": round(watcher.last(leaving) - begun, 2)})
    assert all(seen for _, seen in watcher.seen), "the proxy did not answer who runs"
    rollbacks = [each["command"] for each in switches[1:]]
    return {
        "merge": merge,
        "no_change": {"median": round(statistics.median(no_change), 3), "most": round(max(no_change), 3)},
        "switch": switches[0],
        "rollback": {"median": statistics.median(rollbacks), "most": max(rollbacks), "each": switches[1:]},
        "users": users.figures(),
    }


def merged(site: Site, former: str) -> dict[str, Any]:
    """From the merge of a change of code to its release that answers in `test`."""
    site.git("checkout", "-q", "-b", "change")
    with (site.clone / "src/flight_delay/service.py").open("a", encoding="utf-8") as stream:
        stream.write("# A change of code alone: nothing is trained.\n")
    site.git("commit", "-q", "-a", "-m", "A change")
    site.git("checkout", "-q", "main")
    begun = time.perf_counter()
    site.git("merge", "-q", "--no-ff", "-m", "Merge a change", "change")
    site.git("push", "-q", "--no-verify", "origin", "main")
    steps = {"merge": time.perf_counter() - begun, **site.publish()}
    steps["deploy"] = site.gitrain("deploy", "apply", "test")
    seconds = time.perf_counter() - begun
    answers = version_at(f"http://{site.test}")
    assert answers not in ("", former), answers
    site.git("fetch", "-q", "origin", "deployments")
    newest = site.git("ls-tree", "-r", "--name-only", "FETCH_HEAD", "test/").splitlines()[-1]
    record = json.loads(site.git("show", f"FETCH_HEAD:{newest}"))
    return {
        "seconds": round(seconds, 2),
        "steps": {name: round(each, 2) for name, each in steps.items()},
        "steps_of_deploy": {step["name"]: round(step["seconds"], 2) for step in record["steps"]},
    }


def free_ports(number: int) -> list[int]:
    found: list[int] = []
    for _ in range(number):
        found.append(free_port(found))
    return found


if __name__ == "__main__":
    sys.exit(main())
