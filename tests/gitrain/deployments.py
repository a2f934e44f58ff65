"""A repository with an environment, releases that a stand-in serves, and what deploys them; also as a program.

``python -m tests.gitrain.deployments ROOT LISTEN [--kill-at N] [--wait S]`` says that it begins, and applies what is
desired; if told so, it waits S seconds for another run, or is killed by SIGKILL right before its N-th effect.
"""

import argparse
import dataclasses
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from gitrain.deployment.deployer import Bundle
from gitrain.deployment.routing import Backend
from gitrain.integrations.caddy import CaddyProxy
from gitrain.integrations.deployment_branch import DeploymentBranch
from gitrain.integrations.git_history import GitHistory
from gitrain.integrations.local_deployer import LocalDeployer
from gitrain.integrations.local_objects import LocalObjects
from gitrain.integrations.release_store import ObjectReleaseStore
from gitrain.operations.apply_deployment import apply_deployment
from gitrain.operations.carry_out_plan import DeploymentTools
from gitrain.operations.fetch_release import fetch_release
from gitrain.operations.plan_deployment import find_desired, make_plan
from gitrain.operations.verify_release import verify_release
from gitrain.testing.releases import make_release
from gitrain.verdicts import Outcome, Verdict

REPOSITORY = Path(__file__).parents[2]
STAND_IN = Path(__file__).with_name("stand_in.py")
# Printed by a run when all is imported.
BEGINS = "begins"
# What a run can be killed before: these change something outside of it.
EFFECTS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "subprocess.Popen", "os.kill", "os.truncate"}


class FileProxy:
    """A `Proxy` that is a file: told at once or not at all, and never down."""

    def __init__(self, folder):
        self.file = folder / "told.json"

    def route(self, backends):
        self.file.parent.mkdir(parents=True, exist_ok=True)
        beside = self.file.with_suffix(".part")
        beside.write_text(json.dumps([[each.port, each.weight] for each in backends]))
        os.replace(beside, self.file)

    def routed(self):
        return [Backend(*each) for each in json.loads(self.file.read_text())] if self.file.exists() else None

    def stop(self):
        self.file.unlink(missing_ok=True)


class Site:
    """A repository and one environment, `test`."""

    def __init__(self, root, *, listen="127.0.0.1:1", caddy=False):
        self.root = root
        self.listen = listen
        self.caddy = caddy
        self.store = ObjectReleaseStore(LocalObjects(root / ".gitrain/releases"))
        self.said = []
        self.tools_given = {}

    def begin(self):
        self.root.mkdir()
        (self.root / ".gitignore").write_text(".gitrain/\nbuilt/\n")
        self.git("init", "-q", "-b", "main")
        self.commit("A start")
        return self

    def git(self, *arguments):
        done = subprocess.run(["git", *arguments], cwd=self.root, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, message):
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def release(self, version, *, commit=None, **behaviour):
        """A release of the commit that is checked out."""
        made = make_release(
            self.root / "built" / version,
            version,
            commit=commit or self.git("rev-parse", "HEAD"),
            files={"src/behaviour.json": json.dumps(behaviour).encode()},
        )
        self.store.publish(made.record, made.bundle, made.attachments)
        return made.record

    def desire(self, record=None, **keys):
        """Commit a file that wants a release, or follows main."""
        runtime = {"listen": self.listen, "start_seconds": 20, "stop_seconds": 5} | keys.pop("runtime", {})
        if record == "main":
            wanted = {"follows": "main"}
        else:
            wanted = {"release": record.version, "digest": record.bundle_digest} if record is not None else {}
        content = {"schema_version": 1, **wanted, "runtime": runtime, "probes": {"required": ["smoke"]}, **keys}
        path = self.root / "environments/test.yaml"
        path.parent.mkdir(exist_ok=True)
        # JSON is YAML.
        path.write_text(json.dumps(content, indent=1))
        return self.commit(f"Desire {record.version if hasattr(record, 'version') else record}")

    @property
    def desired(self):
        return find_desired("test", GitHistory(self.root), [self.store])

    @property
    def deployer(self):
        opened = CaddyProxy if self.caddy else (lambda folder, listen: FileProxy(folder))
        return LocalDeployer(
            self.root / ".gitrain/environments/test",
            self.listen,
            open_proxy=opened,
            python=lambda bundle: Path(sys.executable),
            command=lambda python, bundle, port: (
                str(python),
                "-I",
                "-S",
                str(STAND_IN),
                str(bundle),
                "--port",
                str(port),
            ),
        )

    @property
    def records(self):
        return DeploymentBranch(self.root)

    def fetch(self, release):
        verified = verify_release([self.store], release.version, keys=[], tags=GitHistory(self.root).tags())
        if verified.outcome is not Outcome.PASSED:
            return verified.verdicts, None
        found = fetch_release([self.store], self.root / ".gitrain/unpacked", release.version)
        return verified.verdicts, Bundle(record=found.record, folder=found.folder)

    def probe(self, kind, url, bundle):
        facts = ask(int(url.rpartition(":")[2]), "/release")
        wrong = (
            facts["version"] != bundle.record.version
            or (bundle.folder / "src/behaviour.json").read_text().find(f'"fails_{kind}"') >= 0
        )
        return [Verdict(name=f"{kind}:stand-in", outcome=Outcome.FAILED if wrong else Outcome.PASSED, reason="asked")]

    @property
    def tools(self):
        tools = DeploymentTools(
            desired=self.desired,
            deployer=self.deployer,
            records=self.records,
            fetch=self.fetch,
            probe=self.probe,
            watch=None,
            actor="Ada",
            approved_by=None,
            clock=lambda: datetime.now(UTC),
            seconds=time.monotonic,
            pause=lambda seconds: time.sleep(min(seconds, 0.02)),
            progress=self.said.append,
        )
        return dataclasses.replace(tools, **self.tools_given)

    def apply(self, **options):
        return apply_deployment(self.tools, **options)

    def plan(self, **options):
        return make_plan(self.desired, self.deployer, self.records, **options)[0]

    def observe(self):
        return self.deployer.observe()

    def apply_elsewhere(self, *, kill_at=None, wait=0):
        """Apply in a process of its own, which prints a line once it begins."""
        command = [sys.executable, "-m", "tests.gitrain.deployments", str(self.root), self.listen]
        command += ["--wait", str(wait)]
        command += ["--kill-at", str(kill_at)] if kill_at is not None else []
        return subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def end(self):
        deployer = self.deployer
        deployer.stop(deployer.observe().replicas, patience=2)
        deployer.stop_proxy()


def ask(port, path):
    """The JSON that is answered at a port of this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def killed_before(number):
    """Kill this process right before its effect of that number."""
    left = [number]

    def watch(event, arguments):
        if event in EFFECTS:
            left[0] -= 1
            # The kill itself is announced as well.
            if left[0] == -1:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("listen")
    parser.add_argument("--kill-at", type=int)
    parser.add_argument("--wait", type=float)
    given = parser.parse_args()
    site = Site(given.root, listen=given.listen)
    print(BEGINS, flush=True)
    if given.kill_at is not None:
        killed_before(given.kill_at)
    print(json.dumps(site.apply(wait=given.wait).to_json()))
