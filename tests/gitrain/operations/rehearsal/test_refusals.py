import json
from dataclasses import replace

import pytest
from tests.gitrain.operations.rehearsal.stand_ins import DIGEST, Approver, applied, make_scene

from gitrain.errors import IntegrationError, UsageError
from gitrain.operations.rehearsal import refusals
from gitrain.verdicts import Outcome

EVALUATION = {
    "schema_version": 1, "project": "parcels", "target": "late", "estimator": "mlp", "model_digest": DIGEST,
    "predictions_digest": DIGEST, "batches": ["2024-03"], "unit": "day", "rows": 100, "unlabelled": 0, "units": 10,
    "positives": 20, "base_rate": 0.2, "confidence": 0.95, "replicates": 10, "seed": 0, "metrics": {}, "slices": {},
    "calibration": [],
}  # fmt: skip
ALARM = {"name": "leak-alarm:roc_auc", "outcome": "FAILED", "reason": "roc_auc 1 is too good to be true"}
WORSE = {"name": "champion", "outcome": "FAILED", "reason": "it is worse"}


@pytest.fixture
def review(tmp_path):
    folder = tmp_path / "review"
    (folder / "reports").mkdir(parents=True)
    (folder / "reports/evaluation.json").write_text(json.dumps(EVALUATION))
    (folder / "pyproject.toml").write_text('[tool.gitrain]\nproject = "parcels:PROJECT"\n')
    return folder


def gates(*verdicts):
    return {"verdicts": list(verdicts)}


def test_a_leak_is_refused_by_its_alarm(tmp_path, review):
    scene, shell = make_scene(tmp_path, {"gitrain gate check": (1, gates(WORSE, ALARM))})

    done = refusals.leak(scene)

    assert done.outcome is Outcome.PASSED
    assert done.said[0] == "refused by leak-alarm:roc_auc: roc_auc 1 is too good to be true"
    assert 'project = "rehearsal_leak:PROJECT"' in (review / "pyproject.toml").read_text()
    assert "from parcels import PROJECT as HONEST" in (review / "rehearsal_leak.py").read_text()
    order = [command for command in shell.commands if command.startswith("gitrain")]
    assert order == [
        "gitrain features build",
        "gitrain train",
        "gitrain evaluate",
        "gitrain gate check --base origin/main --json",
    ]


@pytest.mark.parametrize("answer", [(0, gates()), (1, gates(WORSE)), (4, gates())])
def test_a_leak_that_is_let_through_or_refused_for_something_else_fails_the_rehearsal(tmp_path, review, answer):
    scene, _ = make_scene(tmp_path, {"gitrain gate check": answer})
    assert refusals.leak(scene).outcome is Outcome.FAILED


def test_a_project_that_is_named_in_another_way_is_told(tmp_path, review):
    (review / "pyproject.toml").write_text("[tool.gitrain]\nproject = '''parcels:PROJECT'''x\n".replace("'", ""))
    scene, _ = make_scene(tmp_path)
    with pytest.raises(UsageError, match=r"pyproject\.toml does not name parcels:PROJECT"):
        refusals.leak(scene)


PROPOSED = {"release": {"version": "0.1.1", "digest": DIGEST}, "former": {"version": "0.1.0", "digest": DIGEST},
            "proposal": {"branch": "promote/production/0.1.1"}}  # fmt: skip
BUILT = {
    "version": "0.1.1",
    "reason": "code",
    "verdicts": [],
    "record": {
        "bundle_digest": DIGEST,
        "bundle_size": 1e6,
        "files": 9,
        "serving": {"format": "onnx", "reason": "equal"},
    },
}
REVERT = {"proposal": {"branch": "rollback/production/0.1.0"}}


def slow_scene(folder, in_production):
    (folder / "repository").mkdir()
    (folder / "repository/service.py").write_text('"""A service."""\n')
    fine = applied("0.1.1", "SUCCEEDED")
    answers = {
        "git ls-files": (0, "service.py"),
        "gitrain release build": (0, BUILT),
        "gitrain env promote": (0, PROPOSED),
        "gitrain deploy apply test": (0, fine),
        "gitrain deploy apply preprod": (0, fine),
        "gitrain deploy apply production": in_production,
    }
    scene, shell = make_scene(folder, answers)
    scene.versions = ["0.0.9", "0.1.0"]
    return scene, shell


def test_a_slow_release_is_aborted_and_its_revert_merged(tmp_path):
    bad = applied("0.1.1", "ABORTED", reason="canary:slow: 40 % of 60 requests", revert=REVERT)
    scene, shell = slow_scene(tmp_path, (1, bad))

    done = refusals.slow(scene)

    assert done.outcome is Outcome.PASSED, done
    assert done.said[1] == "aborted in production: canary:slow: 40 % of 60 requests"
    assert "asyncio.sleep" in (tmp_path / "repository/service.py").read_text()
    assert any("merge" in command and "origin/rollback/production/0.1.0" in command for command in shell.commands)
    assert scene.production == "0.1.0"


def test_the_time_at_the_prompt_is_nobodys(tmp_path):
    now = [0.0]

    def approve(sentence):
        now[0] += 1000.0
        return "Ada"

    def run(command, *, capture):
        now[0] += 2.0 * (command[:4] == ("gitrain", "deploy", "apply", "production"))
        return answer(command, capture=capture)

    bad = applied("0.1.1", "ABORTED", revert=REVERT)
    scene, shell = slow_scene(tmp_path, (1, bad))
    answer, shell.run = shell.run, run
    scene.tools = replace(scene.tools, approve=approve, clock=lambda: now[0])
    done = refusals.slow(scene)
    assert (done.outcome, done.figures["aborted_seconds"]) == (Outcome.PASSED, 2.0)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((0, applied("0.1.1", "SUCCEEDED")), "a slow release was not aborted"),
        ((1, applied("0.1.1", "FAILED")), "a slow release was not aborted"),
        ((1, applied("0.1.1", "ABORTED")), "nobody opened the revert"),
    ],
)
def test_a_slow_release_that_is_not_aborted_or_not_reverted_fails_the_rehearsal(tmp_path, answer, said):
    scene, _ = slow_scene(tmp_path, answer)
    done = refusals.slow(scene)
    assert done.outcome is Outcome.FAILED
    assert said in done.said[0]


def test_going_back_is_approved_before_it_is_timed(tmp_path):
    ada = Approver()
    scene, _ = make_scene(
        tmp_path,
        {
            "gitrain env rollback": (0, {"proposal": {"branch": "rollback/production/0.1.0"}}),
            "gitrain deploy apply production --approved-by Ada": (0, applied("0.1.0", "SUCCEEDED")),
        },
        approve=ada,
    )
    scene.versions = ["0.1.0", "0.2.0"]

    done = refusals.rollback(scene)

    assert ada.asked == ["production is to go back from 0.2.0 to 0.1.0"]
    assert done.outcome is Outcome.PASSED
    assert done.figures == {"decided_seconds": 1.0, "deployed_seconds": 1.0}
    assert scene.production == "0.1.0"


def test_a_command_that_breaks_is_named(tmp_path):
    scene, _ = make_scene(tmp_path, {"gitrain env rollback": (3, "")})
    scene.versions = ["0.1.0", "0.2.0"]
    with pytest.raises(IntegrationError, match=r"`gitrain env rollback production .* ended with exit code 3"):
        refusals.rollback(scene)
