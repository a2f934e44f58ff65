import pytest
import yaml
from tests.gitrain.operations.rehearsal.stand_ins import Answers, Approver, make_scene

from gitrain.errors import UsageError
from gitrain.operations.rehearsal import models
from gitrain.verdicts import Outcome

FINE = {"name": "threshold:roc_auc", "outcome": "PASSED", "reason": "roc_auc 0.78"}
NOT_BETTER = {"name": "champion", "outcome": "FAILED", "reason": "not shown to be better"}
WAIVED = {**NOT_BETTER, "outcome": "PASSED"}
BAD = {"name": "threshold:roc_auc", "outcome": "FAILED", "reason": "roc_auc 0.51, min 0.7"}


class Gates(Answers):
    """A shell whose gates say one thing after the other."""

    def __init__(self, *answers):
        super().__init__()
        self.answers = list(answers)

    def run(self, command, *, capture):
        if tuple(command[:3]) == ("gitrain", "gate", "check"):
            code, verdicts = self.answers.pop(0)
            self.table = {("gitrain", "gate", "check"): (code, {"verdicts": verdicts})}
        return super().run(command, capture=capture)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository/params.yaml").write_text("gates:\n  champion: {improve: log_loss}\n")
    return tmp_path


def test_a_model_that_is_better_needs_nobody(folder):
    asked = []
    scene, shell = make_scene(folder, Gates((0, [FINE, WAIVED])), approve=asked.append)
    done = models.report(scene)
    assert (done.outcome, asked) == (Outcome.PASSED, [])
    assert done.said[0] == "2 of 2 gates passed"
    assert any(command.startswith("gitrain report pr --base origin/main --gates") for command in shell.commands)
    assert scene.where == [("the report on the pull request", f"{folder}/report.pull-request.md")]


@pytest.mark.parametrize("code", [1, 4])
def test_a_sound_model_that_is_not_shown_to_be_better_is_taken_by_a_person_in_git(folder, code):
    ada = Approver()
    answers = Gates((code, [FINE, NOT_BETTER]), (0, [FINE, WAIVED]))
    scene, shell = make_scene(folder, answers, approve=ada)
    done = models.report(scene)
    assert done.outcome is Outcome.PASSED
    assert done.said[0] == "2 of 2 gates passed, one of them by a waiver"
    assert "not shown to be better" in ada.asked[0]
    (waiver,) = yaml.safe_load((folder / "repository/params.yaml").read_text())["gates"]["waivers"]
    assert waiver["gate"] == "champion"
    assert waiver["reason"].endswith("taken by Ada")
    assert "git push --quiet origin data-2024-03" in shell.commands


@pytest.mark.parametrize("verdicts", [[BAD], [BAD, NOT_BETTER]])
def test_a_model_that_is_bad_is_refused_and_nobody_is_asked(folder, verdicts):
    asked = []
    scene, _ = make_scene(folder, Gates((1, verdicts)), approve=asked.append)
    done = models.report(scene)
    assert (done.outcome, asked) == (Outcome.FAILED, [])
    assert done.said[0] == "the gates refuse it: threshold:roc_auc: roc_auc 0.51, min 0.7"


def test_a_person_may_refuse_the_waiver(folder):
    def refuse(sentence):
        raise UsageError("not approved", fix="give your name.")

    scene, _ = make_scene(folder, Gates((1, [NOT_BETTER])), approve=refuse)
    with pytest.raises(UsageError, match="not approved"):
        models.report(scene)
    assert "waivers" not in (folder / "repository/params.yaml").read_text()
