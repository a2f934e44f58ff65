import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gitrain.errors import UsageError
from gitrain.operations.replay.batches import stage_through
from gitrain.operations.replay.candidates import Trials, judge
from gitrain.operations.replay.merges import Alarm, Main
from gitrain.operations.replay.past import MergedModel
from gitrain.pipeline.layout import EVALUATION, LOCK, MODEL, MODEL_MANIFEST, PARAMS
from gitrain.pipeline.lock import Lock
from gitrain.pipeline.retraining_params import RetrainingParams
from gitrain.wiring.replay import _folder_of_candidate
from gitrain.wiring.repository import open_model_format, open_stage, open_workspace

MARCH, APRIL = datetime(2024, 4, 1, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC)
ALARM = Alarm(
    release="1.0.0",
    day="2024-04-20",
    since="2024-03-01",
    began=datetime(2024, 3, 1, tzinfo=UTC),
    days=51,
    reason="the loss is too high since 2024-04-20",
)


@pytest.fixture(scope="module")
def trials(lived):
    """Candidates of the year that was lived: nothing is trained again."""
    stage = open_stage(str(lived.root), lambda line: None)
    stage = replace(stage, workspace=open_workspace(lived.folder), code="code")
    return Trials(
        stage=stage_through(stage, "2024-06"),
        model_format=open_model_format(lived.root),
        open_folder=lambda name: _folder_of_candidate(lived.folder, name),
        stopwatch=time.monotonic,
    )


def opened(trials, **policy):
    params = trials.stage.params.model_copy(update={"retraining": RetrainingParams(**policy)})
    mine = replace(trials, stage=replace(trials.stage, params=params))
    champion = mine.candidate("2024-03")
    rules = (trials.stage.workspace.root.parent / "parcels" / PARAMS).read_text()
    return Main(mine, rules=rules, through="2024-02", champion=champion, stopwatch=time.monotonic)


def test_a_batch_counts_once_it_is_settled_and_its_last_label_is_known(trials):
    main = opened(trials, settle_hours=24)
    main.arrive("2024-03", last=MARCH, known=MARCH + timedelta(hours=30))

    assert main.waiting == ("2024-03",)
    assert main.decide(MARCH + timedelta(hours=29), None) is None
    retrained = main.decide(MARCH + timedelta(hours=30), None)

    assert retrained.decision == "same"
    assert main.waiting == ()


def test_nothing_is_tried_twice_whatever_alarms(trials):
    main = opened(trials)
    main.arrive("2024-03", last=MARCH, known=MARCH)
    assert main.decide(MARCH + timedelta(days=2), ALARM) is not None

    assert main.decide(MARCH + timedelta(days=3), ALARM) is None
    assert main.decide(MARCH + timedelta(days=20), ALARM) is None


def test_an_alarm_is_evidence_besides_new_data(trials):
    main = opened(trials)
    main.arrive("2024-03", last=MARCH, known=MARCH)
    main.decide(MARCH + timedelta(days=2), None)
    main.arrive("2024-04", last=APRIL, known=APRIL)
    retrained = main.decide(APRIL + timedelta(days=2), ALARM)

    assert retrained.decision == "promoted"
    assert retrained.evidence == (
        "2024-04 is there, and the model knows 2024-03",
        "performance:log_loss_ratio of replay failed: the loss is too high since 2024-04-20",
    )


def test_new_data_that_policy_passes_over_starts_nothing(trials):
    main = opened(trials, new_data=False)
    main.arrive("2024-03", last=MARCH, known=MARCH)

    assert main.decide(MARCH + timedelta(days=2), None) is None
    # An alarm does, with the data that is there.
    assert main.decide(MARCH + timedelta(days=2), ALARM).evidence[0].startswith("performance:log_loss_ratio")


def test_the_budget_holds(trials):
    main = opened(trials, runs_a_week=1, cooldown_hours=0)
    main.arrive("2024-03", last=MARCH, known=MARCH)
    main.arrive("2024-04", last=MARCH, known=MARCH + timedelta(days=3))
    assert main.decide(MARCH + timedelta(days=2), None) is not None

    assert main.decide(MARCH + timedelta(days=4), None) is None
    assert main.waiting == ("2024-04",)
    assert main.decide(MARCH + timedelta(days=10), None).batch == "2024-04"


def test_other_code_makes_and_judges_its_candidates_anew(trials, tmp_path):
    """A candidate of one code is no answer to what another code would make of the same batches."""
    opened_folders = []
    origin = trials.candidate("2024-03").stage.workspace.root
    copy = tmp_path / "candidate"
    shutil.copytree(origin, copy, symlinks=True, ignore=shutil.ignore_patterns("gates"))

    def open_folder(name):
        opened_folders.append(name)
        return open_workspace(copy)

    def candidate(code):
        stage = replace(trials.stage, code=code)
        return replace(trials, stage=stage, open_folder=open_folder, made={}).candidate("2024-03")

    candidates = [candidate(code) for code in ("code", "code", "other code")]
    assert opened_folders[0] == opened_folders[1] == origin.name
    assert opened_folders[2] != origin.name
    assert opened_folders[2].startswith("2024-03-")

    merged = MergedModel((trials.stage.workspace.root.parent / "parcels" / PARAMS).read_text(), candidates[0])
    judged = [
        judge(each, trials.model_format, merged, merged, today=APRIL.date(), stopwatch=time.monotonic)
        for each in candidates
    ]
    assert [reused for _, _, reused in judged] == [False, True, False]
    assert len(list((copy / "gates").iterdir())) == 2


def test_what_was_merged_is_a_commit_as_gates_read_it(trials):
    champion = trials.candidate("2024-03")
    merged = MergedModel("schema_version: 1\n", champion)
    commit = merged.commit("main")

    assert merged.commit(commit) == merged.head() == commit
    assert merged.read(commit, PARAMS) == b"schema_version: 1\n"
    lock = merged.read(commit, LOCK)
    assert lock is not None
    found = merged.find(Lock.parse(lock.decode(), source=LOCK).md5_of(MODEL))
    assert found is not None
    assert found.read_bytes() == champion.content
    assert merged.find("0" * 32) is None
    assert merged.read(commit, MODEL_MANIFEST) == champion.manifest.to_json().encode()
    assert merged.read(commit, EVALUATION) == champion.evaluation.to_json().encode()
    assert merged.read(commit, "README.md") is None
    assert merged.changed() == []
    with pytest.raises(UsageError, match="names no commit"):
        merged.commit("v1")
