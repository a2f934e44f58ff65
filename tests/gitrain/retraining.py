"""A repository whose data comes from a folder, and a pipeline that takes no time: what retraining is tried on.

Git, the clones, the records, the forge and the issues are real. The commands of the clone are stand-ins that write what
the true ones would write and print what those would print.
"""

import contextlib
import hashlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import polars as pl

from gitrain.checks.report import CheckReport, CheckVerdict
from gitrain.data.tables import Table
from gitrain.data.validation_report import BatchValidation, Finding, ValidationReport
from gitrain.errors import DataError
from gitrain.gates.report import GateReport, GateVerdict
from gitrain.integrations.bare_proposals import BareIssues, BareProposals
from gitrain.integrations.candidate_clones import LocalCandidateClones
from gitrain.integrations.git_log import GitLog
from gitrain.integrations.git_remote import GitRemote
from gitrain.integrations.retraining_branch import RetrainingBranch
from gitrain.operations.plan_retraining import RetrainingTools
from gitrain.pipeline.candidate import CandidateClone, Finished
from gitrain.project import Project
from gitrain.verdicts import Outcome, Verdict

NOW = datetime(2024, 7, 10, 12, tzinfo=UTC)
PARAMS = """\
schema_version: 1
data:
  from: "2024-01"
  through: "2024-04"   # moved on by new data
training: {estimator: hist_gradient_boosting}
estimators: {hist_gradient_boosting: {}}
"""
LOCK = """\
schema: '2.0'
stages:
  train:
    cmd: train
    deps:
    - path: parcels.py
      hash: md5
      md5: 0123456789abcdef0123456789abcdef
      size: 1
    params:
      params.yaml:
        data.through: THROUGH
    outs:
    - path: models/model.json
      hash: md5
      md5: MD5
      size: 1
"""


def git(folder: Path, *arguments: str, check: bool = True) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=check, capture_output=True, text=True)
    return done.stdout.strip()


@cache
def parcels_project() -> Project:
    """The project of tests/projects/parcels, without making its folder importable."""
    path = Path(__file__).parents[1] / "projects" / "parcels" / "parcels.py"
    spec = importlib.util.spec_from_file_location("parcels_for_retraining", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found = module.PROJECT
    assert isinstance(found, Project)
    return found


@dataclass(frozen=True)
class Delivered:
    """A source: a file a batch in a folder; its content is the fingerprint, `empty` has no rows, `broken` fails.

    While there is a file `down` beside the folder, it cannot be asked at all.
    """

    folder: Path

    def fingerprint(self, batch: str | None) -> str:
        path = self.folder / str(batch)
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "nothing"

    def read(self, batch: str | None) -> pl.DataFrame:
        path = self.folder / str(batch)
        if (self.folder.parent / "down").exists():
            raise ConnectionError("nobody answers at the depots")
        if not path.exists():
            raise DataError(f"nothing of {batch} has been delivered", fix="wait.")
        if path.read_text() == "broken":
            raise KeyError("depot")
        return pl.DataFrame({"row": [] if path.read_text() == "empty" else [1]})


@dataclass(frozen=True)
class Stood:
    """A clone whose commands are stand-ins; what they say is decided by files beside the deliveries."""

    clone: CandidateClone
    world: Path

    @property
    def workspace(self):
        return self.clone.workspace

    def commit(self, message: str) -> str | None:
        return self.clone.commit(message)

    def push_data(self, *, progress) -> bool:
        if (self.world / "remote").exists():
            progress("$ dvc push")
            return True
        return self.clone.push_data(progress=progress)

    def run(self, command, *, progress) -> Finished:
        words = " ".join(command)
        with (self.world / "commands").open("a") as log:
            log.write(f"{words}\n")
        for said in sorted((self.world / "failing").glob("*")):
            if said.name.replace("-", " ") in words:
                return Finished(exit_code=int(said.read_text()), stdout="", said=f"{words}: it broke")
        match command:
            case ("gitrain", "data", "advance", _, through):
                text = self.workspace.read_text("params.yaml")
                self.workspace.write_text("params.yaml", text.replace(self._through, through))
            case ("gitrain", "data", "validate", *_):
                return self._validated()
            case ("dvc", "repro"):
                self._trained()
            case ("gitrain", "check", group, *_):
                return self._judged("checks", lambda outcome: _check(group, outcome))
            case ("gitrain", "gate", *_):
                base = command[command.index("--base") + 1]
                return self._judged("gates", lambda outcome: _gates(base, outcome))
            case ("gitrain", "report", *_):
                return Finished(exit_code=0, stdout="# The report\n")
        return Finished(exit_code=0, stdout="")

    @property
    def _through(self) -> str:
        return self.workspace.read_text("params.yaml").split('through: "')[1][:7]

    def _validated(self) -> Finished:
        delivery = self.world / "delivered" / self._through
        content = delivery.read_text() if delivery.exists() else ""
        renamed = Finding(rule="columns", severity="fail", message="the column depot is missing")
        rows = 0 if content == "empty" else 900
        findings = [renamed] if content.startswith("renamed") else []
        batch = BatchValidation.of("parcels", self._through, rows=rows, quarantined=0, findings=findings)
        report = ValidationReport.of("parcels", [batch])
        return Finished(exit_code=report.outcome.exit_code, stdout=report.to_json())

    def _trained(self) -> None:
        model = json.dumps({"through": self._through})
        self.workspace.write_text("models/model.json", model)
        md5 = hashlib.md5(model.encode(), usedforsecurity=False).hexdigest()
        self.workspace.write_text("dvc.lock", LOCK.replace("THROUGH", self._through).replace("MD5", f"a{md5[1:]}"))
        # Whatever else a stage does to the tree is none of its business.
        self.workspace.write_text("parcels.py", "print('altered')\n")
        self.workspace.write_text("left behind.txt", "by a stage\n")

    def _judged(self, name: str, report) -> Finished:
        file = self.world / name
        made = report(Outcome(file.read_text()) if file.exists() else Outcome.PASSED)
        return Finished(exit_code=made.outcome.exit_code, stdout=made.to_json())


@dataclass(frozen=True)
class StoodClones:
    """`CandidateClones` of the machine, with commands that take no time."""

    clones: LocalCandidateClones
    world: Path

    @property
    def holder(self) -> str:
        return self.clones.holder

    def busy(self) -> bool:
        return self.clones.busy()

    def alone(self):
        return self.clones.alone()

    @contextlib.contextmanager
    def make(self, commit: str) -> Iterator[Stood]:
        with self.clones.make(commit) as clone:
            yield Stood(clone, self.world)


@dataclass
class World:
    """A repository, its origin, and the folder in which data is delivered.

    Attributes:
        root: a clone.
        origin: the bare repository.
        folder: `delivered/BATCH` is data; `gates` and `checks` hold outcomes; `failing/WORDS` exit codes of commands.
    """

    root: Path
    origin: Path
    folder: Path
    now: datetime = NOW

    def deliver(self, batch: str, content: str = "good") -> None:
        (self.folder / "delivered" / batch).write_text(content)

    def withdraw(self, batch: str) -> None:
        (self.folder / "delivered" / batch).unlink()

    def judge(self, name: str, outcome: str) -> None:
        (self.folder / name).write_text(outcome)

    def break_(self, words: str, code: int = 3) -> Path:
        path = self.folder / "failing" / words.replace(" ", "-")
        path.write_text(str(code))
        return path

    def commands(self) -> list[str]:
        path = self.folder / "commands"
        return path.read_text().splitlines() if path.exists() else []

    def set_policy(self, **policy: object) -> None:
        self.commit("Policy", **{"params.yaml": PARAMS + f"retraining: {json.dumps(policy)}\n"})

    def commit(self, message: str, **files: str) -> None:
        for name, content in files.items():
            path = self.root / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        git(self.root, "add", "--all")
        git(self.root, "commit", "-q", "-m", message)
        git(self.root, "push", "-q", "origin", "main")

    @property
    def project(self) -> Project:
        """Parcels, with tables that come from the folder."""
        tables = tuple(self._delivered(table) for table in parcels_project().tables)
        return replace(parcels_project(), tables=tables)

    def _delivered(self, table: Table) -> Table:
        return replace(table, source=Delivered(self.folder / "delivered"))

    def tools(self, root: Path | None = None, **other) -> RetrainingTools:
        place = root or self.root
        remote = GitRemote(place)
        tools = RetrainingTools(
            project=self.project,
            proposals=BareProposals(remote),
            issues=BareIssues(remote),
            history=GitLog(place),
            records=RetrainingBranch(place),
            clones=StoodClones(LocalCandidateClones(remote), self.folder),
            clock=lambda: self.now,
        )
        return replace(tools, **other)

    def branches(self) -> list[str]:
        return git(self.origin, "for-each-ref", "--format=%(refname)").splitlines()


def world_at(repository: Path, folder: Path) -> World:
    """Make all of it: an origin in `folder`, and a clone in `repository`, which has one commit."""
    origin = folder / "origin.git"
    git(folder, "init", "-q", "--bare", "-b", "main", str(origin))
    git(repository, "remote", "add", "origin", str(origin))
    world = World(repository, origin, folder / "world")
    for part in ("delivered", "failing"):
        (world.folder / part).mkdir(parents=True)
    for month in range(1, 5):
        world.deliver(f"2024-{month:02d}")
    lock = LOCK.replace("THROUGH", "2024-04").replace("MD5", "a" * 32)
    world.commit(
        "Parcels",
        **{
            "params.yaml": PARAMS,
            "dvc.lock": lock,
            "models__model.json": "{}",
            "parcels.py": "print('parcels')\n",
            ".gitignore": ".gitrain/\n",
            ".dvc__config": "",
            ".dvc__.gitignore": "/config.local\n/tmp\n/cache\n",
        },
    )
    return world


def _check(group: str, outcome: Outcome) -> CheckReport:
    verdict = Verdict(name=f"{group}:all", outcome=outcome, reason="so it is")
    return CheckReport.of("parcels", [CheckVerdict.of(group, verdict)], {group: 0.1})


def _gates(base: str, outcome: Outcome) -> GateReport:
    verdict = Verdict(name="champion", outcome=outcome, reason="log_loss -0.02 [-0.04, -0.01]")
    return GateReport(
        schema_version=1,
        project="parcels",
        outcome=outcome,
        verdicts=(GateVerdict.of(verdict),),
        date=NOW.date(),
        model_digest=f"sha256:{'a' * 64}",
        base=base,
        batches=("2024-05",),
        unit="day",
        rows=900,
        units=31,
    )
