"""The report on a real repository: what is read of which side, and what cannot be had."""

import json
import subprocess
from typing import Any

import pytest
from tests.gitrain.reports.pull_request_cases import (
    FAILED,
    GROUPS_BEFORE,
    GROUPS_NOW,
    HOSTILE,
    METRICS_BEFORE,
    METRICS_NOW,
    PASSED,
    checks,
    evaluation,
    gates,
)

from gitrain.checks.report import CheckReport
from gitrain.data.validation_report import BatchValidation, ValidationReport
from gitrain.errors import SettingsError, UsageError
from gitrain.integrations.files import LocalWorkspace
from gitrain.integrations.git import GitRepository
from gitrain.operations.report_pull_request import report_pull_request
from gitrain.reports.pull_request_check import check_markdown
from gitrain.reports.pull_request_markdown import render_pull_request
from gitrain.verdicts import Outcome

MANIFEST = {
    "schema_version": 1,
    "project": "flight-delay",
    "estimator": "hist_gradient_boosting",
    "parameters": {"max_iter": 100},
    "features": ["hour"],
    "categorical": [],
    "target": "late",
    "training_batches": ["2013-01"],
    "validation_units": ["2013-01-31"],
    "seed": 0,
    "early_stopping": False,
    "iterations": 100,
    "converged": None,
    "rows": 100,
    "positives": 40,
    "model_digest": "sha256:" + "cd" * 32,
    "libraries": {"python": "3.12"},
}
NOW = MANIFEST | {"iterations": 200, "parameters": {"max_iter": 200}, "model_digest": "sha256:" + "ab" * 32}
LOCK = "schema: '2.0'\nstages:\n  train:\n    cmd: gitrain train\n    outs:\n    - {{path: models/m, md5: {}}}\n"
CURVE = "iteration,training_loss,validation_loss\n" + "".join(
    f"{step},{1 / step:.4f},{1 / step + step / 10000:.4f}\n" for step in range(1, 201)
)


def validation(*batches):
    entries = [BatchValidation.of("flights", name, rows=rows, quarantined=0, findings=()) for name, rows in batches]
    return ValidationReport.of("flight-delay", entries).to_json()


BEFORE = {
    "params.yaml": "training: {seed: 0}\n",
    "requirements.lock": "numpy==2.0\n",
    "dvc.lock": LOCK.format("a" * 32),
    "models/model.json": json.dumps(MANIFEST),
    "reports/evaluation.json": evaluation(METRICS_BEFORE, GROUPS_BEFORE).to_json(),
    "reports/validation.json": validation(("2013-01", 100)),
    "reports/training_curve.csv": CURVE,
}
AFTER = {
    "params.yaml": "training: {seed: 1}\n",
    "requirements.lock": "numpy==2.1\n",
    "dvc.lock": LOCK.format("b" * 32),
    "models/model.json": json.dumps(NOW),
    "reports/evaluation.json": evaluation(METRICS_NOW, GROUPS_NOW).to_json(),
    "reports/validation.json": validation(("2013-01", 100), ("2013-02", 90)),
}


def git(root, *arguments):
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def write(root, files):
    for path, content in files.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(content, encoding="utf-8")


def commit(root, files):
    write(root, files)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "A change")


@pytest.fixture
def root(git_repository):
    commit(git_repository, BEFORE)
    git(git_repository, "switch", "-q", "-c", "change")
    commit(git_repository, AFTER)
    return git_repository


def made(root, base="main", **changes):
    repository = GitRepository(root)
    judged = gates(*PASSED, base=repository.commit(base) if base else None)
    options: dict[str, Any] = {"gates": lambda: judged, "checks": {}, "durations": {}, **changes}
    report = report_pull_request(LocalWorkspace(root), repository, base=base, **options)
    # Whatever is in it, it can be rendered, posted and read again.
    assert {verdict.outcome for verdict in check_markdown(render_pull_request(report))} == {Outcome.PASSED}
    assert type(report).model_validate_json(report.to_json()) == report
    return report


def gaps(report):
    return {gap.section: gap.reason for gap in report.gaps}


def test_both_sides_are_read(root):
    report = made(root, durations={"train": 2.0, "ingest": float("nan")}, runner_minutes=3.0)

    assert report.gaps == ()
    assert report.outcome is Outcome.PASSED
    assert report.commits.base == git(root, "rev-parse", "main")
    assert report.commits.head == git(root, "rev-parse", "change")
    assert (report.commits.contains_base, report.commits.uncommitted) == (True, 0)
    assert [(each.name, each.old, each.new) for each in report.parameters] == [("training.seed", "0", "1")]
    assert [(each.name, each.old, each.new) for each in report.dependencies] == [("numpy", "2.0", "2.1")]
    assert [each.name for each in report.model] == ["iterations", "parameters.max_iter"]
    assert [each.stage for each in report.stages] == ["train"]
    assert report.data is not None
    assert [each.batch for each in report.data.batches] == ["2013-02"]
    assert report.evaluation is not None
    assert report.evaluation.same_rows
    assert report.evaluation.metrics[2].difference is not None
    assert "params.yaml" in [file.path for area in report.code for file in area.files]
    assert report.durations == {"train": 2.0}


def test_the_tree_is_what_counts_and_that_it_differs_is_said(root):
    write(root, {"params.yaml": "training: {seed: 7}\n"})
    report = made(root)

    assert [change.new for change in report.parameters] == ["7"]
    assert report.commits.uncommitted == 1


def test_the_first_commit_has_nothing_to_compare_with(root):
    report = made(root, base="main~1")

    assert set(gaps(report)) == {"metrics", "parameters", "dependencies", "stages", "data", "model"}
    assert "has no reports/evaluation.json" in gaps(report)["metrics"]
    assert report.evaluation is not None
    assert report.evaluation.batches_before == ()
    assert report.outcome is Outcome.PASSED


DOCUMENTS = {
    "reports/evaluation.json": "metrics",
    "models/model.json": "model",
    "reports/validation.json": "data",
}
OTHERS = {"params.yaml": "parameters", "dvc.lock": "stages"}
UNREADABLE = [
    *((path, section, '{"schema_version": 0}') for path, section in DOCUMENTS.items()),
    *((path, section, content) for path, section in (DOCUMENTS | OTHERS).items() for content in ("{", HOSTILE)),
    ("dvc.lock", "stages", "<<<<<<< ours\n"),
    ("params.yaml", "parameters", "- a"),
]


@pytest.mark.parametrize(("path", "section", "content"), UNREADABLE, ids=range(len(UNREADABLE)))
@pytest.mark.parametrize("side", ["base", "tree"])
def test_a_file_that_cannot_be_read_leaves_a_gap_on_either_side(git_repository, path, section, content, side):
    commit(git_repository, BEFORE | ({path: content} if side == "base" else {}))
    git(git_repository, "switch", "-q", "-c", "change")
    commit(git_repository, AFTER | ({path: content} if side == "tree" else {}))

    report = made(git_repository)

    assert section in gaps(report)
    assert path in gaps(report)[section]


def test_a_base_that_is_no_text_leaves_a_gap(git_repository):
    write(git_repository, BEFORE)
    (git_repository / "requirements.lock").write_bytes(b"\xff\xfe")
    commit(git_repository, {})
    git(git_repository, "switch", "-q", "-c", "change")
    commit(git_repository, AFTER)

    assert "not UTF-8" in gaps(made(git_repository))["dependencies"]


def test_a_base_that_does_not_exist_is_a_mistake_of_the_caller(root):
    with pytest.raises(UsageError, match="no commit"):
        made(root, base="nonsense")


def test_without_a_base_nothing_is_compared(root):
    report = made(root, base=None)

    assert (report.parameters, report.code, report.stages, report.gaps) == ((), (), (), ())
    assert report.evaluation is not None


def test_a_base_that_has_moved_on_is_noticed(root):
    git(root, "switch", "-q", "main")
    commit(root, {"README.md": "more\n"})
    git(root, "switch", "-q", "change")

    assert made(root).commits.contains_base is False


def test_gates_of_another_model_count_for_nothing(root):
    judged = gates(*PASSED, model_digest="sha256:" + "99" * 32, base=git(root, "rev-parse", "main"))
    report = made(root, gates=lambda: judged)

    assert report.outcome is Outcome.ERROR
    assert "gitrain gate check" in (report.gates_problem or "")
    assert report.evaluation is not None
    assert all(metric.difference is None for metric in report.evaluation.metrics)


def test_gates_against_another_base_count_for_nothing(root):
    report = made(root, gates=lambda: gates(*PASSED, base="12" * 20))

    assert report.outcome is Outcome.ERROR
    assert "base 121212121212" in (report.gates_problem or "")


@pytest.mark.parametrize(
    "error", [SettingsError("gates.json is no JSON", fix="x"), RuntimeError(HOSTILE), KeyError("a")]
)
def test_whatever_the_gates_raise_the_report_comes_as_an_error(root, error):
    def broken():
        raise error

    report = made(root, gates=broken)

    assert (report.gates, report.outcome) == (None, Outcome.ERROR)
    assert report.gates_problem


def test_checks_decide_too_and_those_that_cannot_be_read_are_an_error(root):
    def broken() -> CheckReport:
        raise SettingsError("data.json is not valid JSON", fix="x")

    failing = checks(("training:finite", Outcome.FAILED, "NaN in the losses"))
    good = checks(("lock:inputs", Outcome.PASSED, "fine"))

    assert made(root, checks={"a": lambda: good}).outcome is Outcome.PASSED
    assert made(root, checks={"a": lambda: good, "b": lambda: failing}).outcome is Outcome.FAILED
    report = made(root, checks={"a": lambda: good, "data.json": broken})
    assert report.outcome is Outcome.ERROR
    assert report.checks_problems == ("data.json: data.json is not valid JSON",)


def test_a_failed_gate_fails_the_report(root):
    judged = gates(*PASSED, FAILED, base=git(root, "rev-parse", "main"))

    assert made(root, gates=lambda: judged).outcome is Outcome.FAILED


def test_the_curve_is_thinned_out_and_its_best_point_is_not_lost(root):
    curve = made(root).curve

    assert curve is not None
    assert (curve.points[0], curve.points[-1], len(curve.points)) == (1, 200, 60)
    best = min(range(1, 201), key=lambda step: (round(1 / step + step / 10000, 4), step))
    assert curve.best["validation_loss"] == (best, pytest.approx(1 / best + best / 10000, abs=1e-4))
    assert curve.missing == 0


@pytest.mark.parametrize(
    ("text", "points", "missing"),
    [
        ("iteration,loss\n1,0.5\n2,nan\n3,0.4\n", (1, 3), 1),
        ("iteration,loss\n1,0.5\n2,inf\n3\n4,0.3\n", (1, 4), 2),
        ("iteration,a,b\n1,0.7,0.8\n5,0.5,\n9,0.4,0.6\n", (1, 9), 0),
        ("iteration,loss\n9,0.5\n1,0.7\n", (1, 9), 0),
        ("iteration,loss\n1,x\n", (1,), 1),
    ],
)
def test_a_curve_with_holes_says_how_many(root, text, points, missing):
    write(root, {"reports/training_curve.csv": text})
    curve = made(root).curve

    assert curve is not None
    assert (curve.points, curve.missing) == (points, missing)


@pytest.mark.parametrize("text", ["", "iteration\n1\n", "iteration,loss\n", "iteration,loss\nx,y\n"])
def test_what_is_no_curve_leaves_a_gap(root, text):
    write(root, {"reports/training_curve.csv": text})

    assert "reports/training_curve.csv" in gaps(made(root))["learning curve"]


def test_a_tree_without_any_results_has_a_report_too(git_repository):
    git(git_repository, "switch", "-q", "-c", "change")

    def broken():
        raise SettingsError("params.yaml is missing", fix="x")

    report = made(git_repository, gates=broken)

    assert (report.project, report.outcome, report.evaluation) == ("model", Outcome.ERROR, None)
