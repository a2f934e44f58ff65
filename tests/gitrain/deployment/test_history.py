"""The history of an environment: what changed, by whom, and what was deployed."""

from datetime import timedelta

import pytest
from tests.gitrain.deployment_records import START, deployed

from gitrain.deployment.commits import FileVersion
from gitrain.deployment.history import history_of
from gitrain.deployment.record import Ending

FIRST = "schema_version: 1\nrelease: null\ndigest: null\nsuspend: false\n"


def version(text, minute=0, message="A change"):
    return FileVersion(commit="c" * 40, author="ada", at=START + timedelta(minutes=minute), message=message, text=text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            FIRST.replace("release: null", "release: 1.0.0").replace("digest: null", "digest: x"),
            "release nothing → 1.0.0",
        ),
        (FIRST.replace("digest: null", "digest: x"), "digest nothing → x"),
        (FIRST.replace("suspend: false", "suspend: true"), "suspend false → true"),
        (f"{FIRST}gates: {{successful_runs: 2}}\n", "gates.successful_runs nothing → 2"),
        (f"# words\n{FIRST}", "words alone"),
        ("release: [", "the file cannot be read"),
        ("- 1", "the file cannot be read"),
        (None, "the environment was removed"),
    ],
)
def test_what_a_commit_changed(text, what):
    newest, first = history_of([version(text, 1), version(FIRST)], [])
    assert (newest.what, first.what) == (what, "the environment was added: nothing yet")


def test_a_file_that_comes_back_or_could_not_be_read():
    events = history_of([version(FIRST, 3), version("[", 2), version(FIRST, 1), version(None, 0)], [])
    assert [event.what for event in events] == [
        "the file can be read again",
        "the file cannot be read",
        "the environment was added: nothing yet",
        "the environment was removed",
    ]
    follows = history_of([version("schema_version: 1\nfollows: main\n")], [])
    assert follows[0].what == "the environment was added: follows main"


def test_changes_and_deployments_stand_in_their_order():
    records = [
        deployed("preprod", "1.0.0", minute=1),
        deployed("preprod", "1.1.0", minute=5, ending=Ending.ABORTED, reason="slower", former="1.0.0"),
    ]
    records[1] = records[1].model_copy(update={"approved_by": "bob"})
    events = history_of([version(FIRST, 3, "Why\n\nand so\non\n"), version(FIRST, 0)], records)
    assert [(event.kind, event.outcome) for event in events] == [
        ("deploy", "ABORTED"),
        ("change", None),
        ("deploy", "SUCCEEDED"),
        ("change", None),
    ]
    assert (events[0].who, events[0].what, events[0].why) == (
        "ada, approved by bob",
        "release 1.1.0 after 1.0.0",
        "slower",
    )
    assert events[1].why == "Why and so on"
    assert events[0].to_json()["at"] == "2026-03-02T09:06:00Z"
