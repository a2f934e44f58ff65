"""Proposals, histories and differences as Markdown: golden, and safe whatever commits, files and records say."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitrain.deployment.commits import CommitLine
from gitrain.deployment.difference import MetricChange, ReleaseDifference
from gitrain.deployment.history import Event
from gitrain.pipeline.changes import ValueChange
from gitrain.reports.environments_markdown import render_difference, render_history, render_proposal_body
from gitrain.verdicts import Outcome, Verdict

GOLDEN = Path(__file__).parent / "golden"
AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
HOSTILE = "</td><script>alert(1)</script> | @everyone [x](http://evil.example) `code`\n# heading \u202e"
COMMIT = "c0ffee0" + "0" * 33

DIFFERENCE = ReleaseDifference(
    old="1.0.0",
    new="1.1.0",
    old_digest=f"sha256:{'a' * 64}",
    new_digest=f"sha256:{'b' * 64}",
    about=(
        ValueChange(name="data through", old="2013-08", new="2013-09"),
        ValueChange(name="model", old=f"sha256:{'1' * 64}", new=f"sha256:{'2' * 64}"),
    ),
    parameters=(ValueChange(name="training.window", old="expanding", new="6"),),
    dependencies=(),
    metrics=(
        MetricChange(name="roc_auc", old=0.75, new=0.761),
        MetricChange(name="log_loss", old=0.5, new=0.49),
        MetricChange(name="brier", old=None, new=0.11),
    ),
    commits=(CommitLine(commit=COMMIT, author="Ada", at=AT, subject="Learn from six months"),),
    more_commits=2,
)
VERDICTS = [
    Verdict(name="production:order", outcome=Outcome.PASSED, reason="production from preprod from test"),
    Verdict(
        name="production:runs",
        outcome=Outcome.PASSED,
        reason="release 1.1.0 succeeded 3 times in preprod; 3 times are asked for",
        figures={"succeeded": 3, "wanted": 3, "all": 3},
    ),
]


def hostile():
    change = ValueChange(name=HOSTILE, old=HOSTILE, new=f"sha256:{HOSTILE}")
    return ReleaseDifference(
        old="1.0.0",
        new="1.1.0",
        old_digest=None,
        new_digest=HOSTILE,
        about=(change,),
        parameters=(change,),
        dependencies=(change,) * 100,
        metrics=(MetricChange(name=HOSTILE, old=1.0, new=2.0),),
        commits=(CommitLine(commit=COMMIT, author=HOSTILE, at=AT, subject=HOSTILE),),
    )


def test_the_body_of_a_promotion():
    body = render_proposal_body(
        "production: may this be?", "production is to run flights 1.1.0, instead of 1.0.0.", VERDICTS, DIFFERENCE
    )
    assert body == (GOLDEN / "promotion.md").read_text()


def test_what_is_not_known_is_said():
    unknown = DIFFERENCE.model_copy(update={"parameters": None, "dependencies": None, "commits": None})
    text = render_difference(unknown)
    assert text.count("Not known: the commits of the two releases are not both in this clone.") == 3
    first = render_difference(unknown.model_copy(update={"old": None}))
    assert first.startswith("## What changes: nothing → 1.1.0\n")
    assert "Not known" not in first
    undone = render_difference(DIFFERENCE.model_copy(update={"undone": True}))
    assert "Going back takes these away:" in undone


@pytest.mark.parametrize(
    "text",
    [
        render_difference(hostile()),
        render_proposal_body(
            HOSTILE, HOSTILE, [Verdict(name=HOSTILE, outcome=Outcome.PASSED, reason=HOSTILE)], hostile()
        ),
        render_history(
            HOSTILE,
            [Event(at=AT, kind="change", who=HOSTILE, what=HOSTILE, why=HOSTILE, commit=COMMIT)],
        ),
    ],
)
def test_nothing_hostile_gets_through(text):
    assert "<script>" not in text
    assert "@everyone" not in text
    assert "](http:" not in text
    assert "`code`" not in text
    assert "\n# heading" not in text
    assert "\u202e" not in text
    assert len(text) < 65_000


def test_a_history():
    events = [
        Event(at=AT, kind="deploy", who="ada", what="release 1.1.0", why="slower", commit=COMMIT, outcome="ABORTED"),
        Event(at=AT, kind="change", who="bob", what="suspend false → true", why="", commit=COMMIT),
    ]
    lines = render_history("production", events).splitlines()
    assert lines[4] == "| 2026-03-02 09:30:00 | deploy: ABORTED | release 1.1.0 | ada | `c0ffee0` | slower |"
    assert lines[5] == "| 2026-03-02 09:30:00 | change | suspend false → true | bob | `c0ffee0` | – |"
    assert render_history("production", []) == "Nothing has happened to production yet.\n"
