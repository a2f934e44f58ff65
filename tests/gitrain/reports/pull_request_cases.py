"""The pull requests that the golden reports are about; as a program it writes the golden reports."""

import math
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from gitrain.checks.report import CheckReport, CheckVerdict
from gitrain.evaluation.comparison import PairedDifference, compare_evaluations
from gitrain.evaluation.document import CalibrationBin, Evaluation, MetricEstimate, SliceEvaluation, SliceGroup
from gitrain.gates.report import GateReport, GateVerdict, report_outcome
from gitrain.pipeline.changes import BatchChange, DataChanges, StageChange, ValueChange, by_area
from gitrain.pipeline.file_change import FileChange
from gitrain.reports.pull_request_document import Commits, Curve, Gap, PullRequestReport, pull_request_outcome
from gitrain.reports.pull_request_markdown import render_pull_request
from gitrain.verdicts import Outcome

__all__ = ["CASES", "GOLDEN", "HOSTILE", "evaluation", "gates", "hostile_report", "report"]

GOLDEN = Path(__file__).parent / "golden"
BASE, HEAD = "5fa2" * 10, "180a" * 10
HOSTILE = (
    "</code></details><img src=x onerror=alert(1)> [click](http://evil.example) ![x](y.png) `|\n```\n# big @everyone "
    "#1 other/repo#2 GH-3 www.evil.example $x$ &lt; <!-- \u202e --> | --- |\r\n| a | b |\n[foo]: http://evil.example\n"
    '"]\n    click a "javascript:alert(1)"\n%%{init: {}}%%'
)


def estimate(value: float, half: float, *, direction: str = "higher", judged: bool = True) -> MetricEstimate:
    no_skill = 0.5 if direction == "higher" else 1.0
    content = {"value": value, "low": value - half, "high": value + half, "direction": direction}
    return MetricEstimate.model_validate({**content, "no_skill": no_skill, "judged": judged})


def evaluation(
    metrics: Mapping[str, MetricEstimate],
    groups: Mapping[str, Mapping[Any, tuple[float, float, int]]],
    **changes: object,
) -> Evaluation:
    """An evaluation with a slice a key of `groups`; a group is the ROC AUC, half its interval, and rows."""
    slices = {
        name: SliceEvaluation(
            min_rows=800,
            groups=tuple(
                SliceGroup(
                    group=group,
                    rows=rows,
                    units=30,
                    positives=rows // 4,
                    judged=rows >= 800,
                    metrics={"roc_auc": estimate(value, half)},
                )
                for group, (value, half, rows) in members.items()
            ),
        )
        for name, members in groups.items()
    }
    content: dict[str, object] = {
        "schema_version": 1,
        "project": "flight-delay",
        "target": "late",
        "estimator": "hist_gradient_boosting",
        "model_digest": "sha256:" + "ab" * 32,
        "predictions_digest": "sha256:" + "cd" * 32,
        "batches": ("2013-09",),
        "unit": "day",
        "rows": 26910,
        "unlabelled": 664,
        "units": 30,
        "positives": 3700,
        "base_rate": 0.1375,
        "confidence": 0.95,
        "replicates": 2000,
        "seed": 0,
        "metrics": dict(metrics),
        "slices": slices,
        "calibration": (),
    }
    return Evaluation.model_validate(content | changes)


METRICS_NOW = {
    "roc_auc": estimate(0.7651, 0.045),
    "expected_calibration_error": estimate(0.017, 0.008, direction="lower"),
    "log_loss": estimate(0.3291, 0.03, direction="lower", judged=False),
}
METRICS_BEFORE = {
    "roc_auc": estimate(0.7432, 0.046),
    "expected_calibration_error": estimate(0.031, 0.009, direction="lower"),
    "log_loss": estimate(0.3384, 0.031, direction="lower", judged=False),
}
GROUPS_NOW = {
    "carrier": {"UA": (0.78, 0.02, 5100), "F9": (0.61, 0.03, 812), "YV": (0.7, 0.2, 40), None: (0.7, 0.1, 900)}
}
GROUPS_BEFORE = {"carrier": {"UA": (0.72, 0.02, 4900), "F9": (0.71, 0.03, 834), "HA": (0.7, 0.04, 820)}}
DIFFERENCES = {
    "log_loss": PairedDifference(value=-0.0093, low=-0.0142, high=-0.0041),
    "roc_auc": PairedDifference(value=0.0219, low=-0.001, high=0.0436),
}


def verdict(name: str, outcome: Outcome, reason: str, **figures: float | int | str | None) -> GateVerdict:
    return GateVerdict(name=name, outcome=outcome, reason=reason, figures=figures)


PASSED = (
    verdict(
        "threshold:roc_auc",
        Outcome.PASSED,
        "roc_auc 0.7651 [0.7201, 0.8101], min 0.7",
        value=0.7651,
        low=0.7201,
        high=0.8101,
        bound=0.7,
        side="min",
    ),
    verdict(
        "champion",
        Outcome.PASSED,
        "log_loss -0.0093 [-0.0142, -0.0041]: better; roc_auc +0.0219 [-0.001, +0.0436]: kept within 0.002",
        value=-0.0093,
        low=-0.0142,
        high=-0.0041,
        bound=0.0,
        side="max",
        metric="log_loss",
        challenger=0.3291,
        champion=0.3384,
    ),
)
FAILED = verdict(
    "slice:carrier",
    Outcome.FAILED,
    "roc_auc misses min 0.65 in 1 of 12 groups: F9 0.61 [0.58, 0.64] (812 rows)",
    value=0.61,
    low=0.58,
    high=0.64,
    bound=0.65,
    side="min",
)
CALIBRATION = tuple(
    CalibrationBin(
        low=place / 5,
        high=(place + 1) / 5,
        rows=9000 - 2000 * place,
        predicted=0.1 + place / 5,
        observed=0.08 + place / 5,
        observed_low=None if place == 4 else 0.05 + place / 5,
        observed_high=None if place == 4 else 0.12 + place / 5,
    )
    for place in range(5)
)
CURVE = Curve(
    x="iteration",
    points=tuple(range(1, 11)),
    series={
        "training_loss": tuple(round(0.4 + 0.15 * math.exp(-step / 3), 6) for step in range(10)),
        "validation_loss": tuple(round(0.45 + 0.1 * math.exp(-step / 3) + 0.002 * step, 6) for step in range(10)),
    },
    best={"training_loss": (10, 0.407468), "validation_loss": (9, 0.472948)},
)


def gates(*verdicts: GateVerdict, **changes: object) -> GateReport:
    content: dict[str, object] = {
        "schema_version": 1,
        "project": "flight-delay",
        "outcome": report_outcome(verdicts),
        "verdicts": verdicts,
        "date": date(2026, 3, 1),
        "model_digest": "sha256:" + "ab" * 32,
        "base": BASE,
        "champion_digest": "sha256:" + "ef" * 32,
        "batches": ("2013-09",),
        "unit": "day",
        "rows": 26910,
        "units": 30,
    }
    return GateReport.model_validate(content | changes)


def checks(*verdicts: tuple[str, Outcome, str]) -> CheckReport:
    entries = [
        CheckVerdict(group=name.partition(":")[0], name=name, outcome=outcome, reason=reason, figures={"units": 30})
        for name, outcome, reason in verdicts
    ]
    return CheckReport.of("flight-delay", entries, {"training": 93.2, "lock": 0.8})


CHECKS = (
    ("lock:inputs", Outcome.PASSED, "every input of every stage is the one in the tree"),
    ("training:loss-falls", Outcome.PASSED, "the training loss falls in 199 of 199 steps"),
)


def report(**changes: object) -> PullRequestReport:
    """A report whose outcome follows from its parts; by default a retraining that passed everything."""
    content: dict[str, object] = {
        "schema_version": 1,
        "project": "flight-delay",
        "commits": Commits(ref="origin/main", base=BASE, head=HEAD, contains_base=True),
        "gates": gates(*PASSED),
        "checks": (checks(*CHECKS),),
        "evaluation": compare_evaluations(
            evaluation(METRICS_BEFORE, GROUPS_BEFORE), evaluation(METRICS_NOW, GROUPS_NOW), DIFFERENCES
        ),
        "parameters": (
            ValueChange(name="estimators.hist_gradient_boosting.max_iter", old="100", new="200"),
            ValueChange(name="training.window", old=None, new="expanding"),
        ),
        "stages": (
            StageChange(
                stage="train",
                causes=("estimators.hist_gradient_boosting.max_iter", "training.window"),
                outputs=("models/model.json", "models/model.skops", "reports/training_curve.csv"),
            ),
            StageChange(stage="evaluate", upstream=("models/model.skops",), outputs=("reports/evaluation.json",)),
        ),
        "data": DataChanges(rows=271000, rows_before=271000, quarantined=1, quarantined_before=1, content=False),
        "model": (ValueChange(name="iterations", old="100", new="200"),),
        "code": by_area(
            [
                FileChange(path="params.yaml", added=2, deleted=1),
                FileChange(path="dvc.lock", added=24, deleted=24),
                FileChange(path="src/flight_delay/model.py", added=12, deleted=3),
                FileChange(path="docs/model.md", added=9, deleted=0, was="docs/estimator.md"),
                FileChange(path="models/model.onnx", added=None, deleted=None),
            ]
        ),
        "curve": CURVE,
        "calibration": CALIBRATION,
        "durations": {"train": 61.2, "evaluate": 8.7},
        "runner_minutes": 7.5,
    }
    content |= changes
    # The parts as they are, not as anything: this is what the outcome follows from.
    parts = PullRequestReport.model_construct(**content)  # type: ignore[arg-type]
    outcome = pull_request_outcome(parts.gates, parts.gates_problem, parts.checks, parts.checks_problems)
    return PullRequestReport.model_validate(content | {"outcome": outcome})


def typical() -> PullRequestReport:
    return report()


def failing() -> PullRequestReport:
    """New data, a slice that fails, a waiver, rules that were loosened, a check whose step broke, other rows."""
    waived = GateVerdict(
        name="threshold:expected_calibration_error",
        outcome=Outcome.PASSED,
        reason="FAILED, and waived: expected_calibration_error 0.071 [0.05, 0.09], max 0.06",
        figures={"value": 0.071, "low": 0.05, "high": 0.09, "bound": 0.06, "side": "max"},
        waived="storms of July, agreed on in the review (until 2026-03-31; added by this change)",
    )
    before = evaluation(METRICS_BEFORE, GROUPS_BEFORE, batches=("2013-08",), rows=28756, base_rate=0.2460)
    return report(
        commits=Commits(ref="origin/main", base=BASE, head=HEAD, contains_base=False, uncommitted=3),
        gates=gates(*PASSED, FAILED, waived, changes=("gates.thresholds.roc_auc.min: 0.72 → 0.7",)),
        checks=(
            checks(*CHECKS, ("training:refit-identical", Outcome.FAILED, "a second fit gave other bytes")),
            checks(("behaviour:recent-delay", Outcome.INCONCLUSIVE, "only 12 rows can be changed")),
        ),
        checks_problems=("integration.json: integration.json cannot be read: No such file or directory",),
        evaluation=compare_evaluations(before, evaluation(METRICS_NOW, GROUPS_NOW), {}),
        parameters=(ValueChange(name="data.through", old="2013-08", new="2013-09"),),
        dependencies=(
            ValueChange(name="scikit-learn", old="1.8.0", new="1.9.0"),
            ValueChange(name="joblib", old="1.5.1", new=None),
        ),
        data=DataChanges(
            rows=271000,
            rows_before=243831,
            quarantined=14,
            quarantined_before=1,
            batches=(
                BatchChange(table="flights", batch="2013-09", rows=27574, quarantined=0),
                BatchChange(
                    table="weather", batch="2013-02", rows=2010, rows_before=2011, quarantined=14, quarantined_before=1
                ),
                BatchChange(table="airports", batch=None, rows_before=1462, quarantined_before=0),
            ),
            content=True,
        ),
        curve=CURVE.model_copy(update={"missing": 4}),
    )


def huge() -> PullRequestReport:
    """Thousands of everything."""
    groups_now = {"route": {f"JFK-{place:04d}": (0.5 + place / 20000, 0.001, 900) for place in range(5000)}}
    groups_before = {"route": {f"JFK-{place:04d}": (0.7 - place / 20000, 0.001, 900) for place in range(5000)}}
    return report(
        gates=gates(
            *PASSED,
            *(
                FAILED.model_copy(update={"name": f"slice:cut-{place}", "reason": f"{FAILED.reason}; {'x' * 300}"})
                for place in range(400)
            ),
        ),
        checks=(
            checks(
                *((f"artifacts:data/part-{place}", Outcome.FAILED, "missing " * 40) for place in range(500)), *CHECKS
            ),
        ),
        evaluation=compare_evaluations(
            evaluation(METRICS_BEFORE, groups_before), evaluation(METRICS_NOW, groups_now), DIFFERENCES
        ),
        parameters=tuple(ValueChange(name=f"a.b.key_{place}", old="0", new="1" * 150) for place in range(3000)),
        dependencies=tuple(ValueChange(name=f"package-{place}", old="1.0", new="2.0") for place in range(2000)),
        code=by_area(
            FileChange(path=f"src/p{place % 300}/{'deep/' * 12}m{place}.py", added=place, deleted=1)
            for place in range(4000)
        ),
        data=DataChanges(
            rows=10**9,
            rows_before=0,
            quarantined=0,
            quarantined_before=0,
            batches=tuple(BatchChange(table="t" * 200, batch=f"{place}", rows=place) for place in range(3000)),
        ),
    )


def hostile() -> PullRequestReport:
    return hostile_report(HOSTILE)


def hostile_report(text: str) -> PullRequestReport:
    """A report whose every text is `text`."""
    metrics = {text: METRICS_NOW["roc_auc"]}
    groups = {text: {text: (0.6, 0.001, 900), f"{text}2": (0.6, 0.001, 900)}}
    before = {text: {text: (0.7, 0.001, 900), f"{text}3": (0.6, 0.001, 900)}}
    change = ValueChange(name=text, old=text, new=text)
    names = {"project": text, "unit": text, "batches": (text,)}
    bad = GateVerdict(
        name=text, outcome=Outcome.FAILED, reason=text, figures={"value": text, "bound": text, "side": text}
    )
    return report(
        project=text,
        commits=Commits(ref=text, base=BASE, head=HEAD, contains_base=False, uncommitted=1),
        gates=gates(bad, bad.model_copy(update={"waived": text}), changes=(text,), **names),
        checks=(
            CheckReport.of(
                text,
                [
                    CheckVerdict(group=text, name=text, outcome=outcome, reason=text, figures={text: text})
                    for outcome in Outcome
                ],
                {text: 1.0},
            ),
        ),
        checks_problems=(text,),
        evaluation=compare_evaluations(
            evaluation(metrics, before, **names),
            evaluation(metrics, groups, **names),
            {text: PairedDifference(value=0.1, low=0.05, high=0.2)},
        ),
        parameters=(change,),
        dependencies=(change,),
        model=(change,),
        stages=(StageChange(stage=text, causes=(text,), upstream=(text,), outputs=(text,)),),
        data=DataChanges(
            rows=1,
            rows_before=2,
            quarantined=0,
            quarantined_before=0,
            batches=(BatchChange(table=text, batch=text, rows=1),),
        ),
        code=by_area(
            [FileChange(path=text, added=1, deleted=1, was=text), FileChange(path=f"src/{text}/x", added=1, deleted=0)]
        ),
        curve=Curve(x=text, points=(1, 2), series={text: (1.0, 2.0)}, best={text: (1.0, 1.0)}),
        durations={text: 1.0},
        gaps=tuple(Gap(section=section, reason=text) for section in ("metrics", "code", "data", "model", "time")),
    )


def first_commit() -> PullRequestReport:
    """The base has nothing yet: no model, no reports."""
    missing = "the base commit 5fa25fa25fa2 has no"
    champion = verdict("champion", Outcome.INCONCLUSIVE, "no champion yet: commit 5fa25fa25fa2 has no dvc.lock")
    return report(
        commits=Commits(ref="main", base=BASE, head=None),
        gates=gates(PASSED[0], champion, champion_digest=None),
        checks=(),
        evaluation=compare_evaluations(None, evaluation(METRICS_NOW, GROUPS_NOW), {}),
        parameters=(),
        stages=(),
        model=(),
        code=by_area([FileChange(path="README.md", added=3, deleted=0)]),
        data=DataChanges(rows=271000, quarantined=1),
        durations={},
        runner_minutes=None,
        gaps=(
            Gap(section="metrics", reason=f"{missing} reports/evaluation.json"),
            Gap(section="parameters", reason=f"{missing} params.yaml"),
            Gap(section="model", reason=f"{missing} models/model.json"),
            Gap(section="stages", reason=f"{missing} dvc.lock"),
            Gap(section="data", reason=f"{missing} reports/validation.json"),
        ),
    )


CASES: Mapping[str, Callable[[], PullRequestReport]] = {
    "typical": typical,
    "failing": failing,
    "huge": huge,
    "hostile": hostile,
    "first_commit": first_commit,
}

if __name__ == "__main__":
    for name, case in CASES.items():
        (GOLDEN / f"pull_request_{name}.md").write_text(render_pull_request(case()), encoding="utf-8")
