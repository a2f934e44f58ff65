import json

import pytest
from tests.gitrain.operations.rehearsal.stand_ins import DIGEST, Approver, Users, applied, make_scene

from gitrain.errors import IntegrationError
from gitrain.operations.rehearsal import deployments
from gitrain.pipeline.layout import KNOWN_ANSWERS
from gitrain.verdicts import Outcome

PROPOSED = {"release": {"version": "0.2.0", "digest": DIGEST}, "former": {"version": "0.1.0", "digest": DIGEST}}


def judged(outcome, requests):
    return {"name": "canary:slow:own", "outcome": outcome, "reason": "so", "figures": {"requests": requests}}


def production(folder, code, said):
    ada = Approver()
    scene, shell = make_scene(
        folder,
        {
            "gitrain env promote production": (0, PROPOSED),
            "gitrain deploy apply production --approved-by Ada": (code, said),
        },
        approve=ada,
    )
    scene.versions = ["0.1.0"]
    return scene, shell, ada.asked


STEPS = [("probe smoke", []), ("canary 25 %", [judged("PASSED", 40)]), ("canary 50 %", [judged("PASSED", 190)])]


def test_a_canary_is_approved_before_it_is_merged_and_told_by_its_last_look(tmp_path):
    scene, shell, asked = production(tmp_path, 0, applied("0.2.0", "SUCCEEDED", steps=STEPS))

    done = deployments.canary(scene)

    assert asked == ["production is to run release 0.2.0 (000000000000) in place of 0.1.0"]
    assert done.outcome is Outcome.PASSED
    assert "judged by 1 rules in 3 s, after 190 requests" in done.said[1]
    assert scene.versions == ["0.1.0", "0.2.0"]
    order = [command for command in shell.commands if "production" in command]
    assert order == [
        "gitrain env promote production --json",
        "gitrain env promote production --merge --json",
        "gitrain deploy apply production --approved-by Ada --json",
    ]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (applied("0.2.0", "SUCCEEDED", steps=STEPS[:1]), "nobody judged it"),
        (applied("0.2.0", "ABORTED", reason="canary:slow:own: slow", steps=STEPS), "ABORTED: canary:slow:own: slow"),
    ],
)
def test_a_canary_that_is_not_judged_or_aborted_fails_the_rehearsal(tmp_path, said, reason):
    scene, _, _ = production(tmp_path, 1, said)
    done = deployments.canary(scene)
    assert done.outcome is Outcome.FAILED
    assert reason in done.said[0]


def test_a_commit_that_is_refused_says_why(tmp_path):
    refused = {"verdicts": [{"name": "release:clean", "outcome": "FAILED", "reason": "the tree has changes"}]}
    scene, shell = make_scene(tmp_path, {"gitrain release build": (1, refused)})
    with pytest.raises(IntegrationError, match="the tree has changes"):
        deployments.release(scene)
    assert not any("publish" in command for command in shell.commands)


def test_users_ask_for_the_known_rows(tmp_path):
    row = {"inputs": {"parcel": 1}, "features": {}, "score": 0.5}
    known = {"schema_version": 1, "tolerance": 1e-6, "rows": [row]}
    path = tmp_path / "repository" / KNOWN_ANSWERS
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(known))
    users = Users()
    scene, _ = make_scene(tmp_path, users=users)

    deployments.users(scene)

    assert users.started == ("http://127.0.0.1:8003", '{"parcels": [{"parcel": 1}]}\n', 40.0)
    assert scene.where == [("production", "http://127.0.0.1:8003")]
