"""report.yml against a fake GitHub, with the real CML: one comment, whatever happens."""

import os

import pytest
from tests.workflows.conftest import BOT, SLUG, Forge

REPORT = "## ✅ tumours: PASSED\n\nEvery gate passed.\n"
COMMENTS = f"/repos/{SLUG}/issues/1/comments"
# What GitHub would have after as many pushes; ACTIONS_PUSHES=50 takes some minutes.
PUSHES = int(os.environ.get("ACTIONS_PUSHES", "3"))

WATERMARK = '![](https://cml.dev/watermark.png#abc123 "CML watermark gitrain")'


def _comment(number: int, login: str, body: str) -> dict[str, object]:
    kind = "Bot" if login.endswith("[bot]") else "User"
    return {"id": number, "issue_number": 1, "body": body, "user": {"login": login, "type": kind}, "html_url": "x"}


def test_cml_posts_one_comment_and_a_later_push_updates_it(forge: Forge) -> None:
    forge.leave_report(REPORT)
    first = forge.report()
    assert first.code == 0, first.output
    # One request: CML's. The step after it found nothing to mend.
    assert first.wrote() == [("POST", COMMENTS, 201)]
    (comment,) = forge.comments()
    assert comment["body"].startswith(REPORT)
    assert "CML watermark gitrain" in comment["body"]
    assert REPORT.strip() in first.summary

    forge.leave_report(REPORT.replace("PASSED", "FAILED"))
    second = forge.report(run_id="101", conclusion="failure")
    assert [method for method, *_ in second.wrote()] == ["PATCH"]
    (updated,) = forge.comments()
    assert updated["id"] == comment["id"]
    assert "tumours: FAILED" in updated["body"]
    assert updated["body"].startswith("> **CI ended with failure.**")


def test_many_pushes_among_many_comments_leave_one_comment(forge: Forge) -> None:
    """CML looks at the first 30 comments alone; ours comes after them."""
    forge.alter(comments=[_comment(number, "ada", f"A remark, the {number}th") for number in range(1, 41)])
    for push in range(PUSHES):
        forge.leave_report(REPORT.replace("Every gate", f"Push {push}: every gate"))
        run = forge.report(run_id=str(100 + push))
        assert run.code == 0, run.output
    comments = forge.comments()
    assert len(comments) == 41
    (ours,) = [each for each in comments if each["user"]["login"] == BOT]
    assert f"Push {PUSHES - 1}:" in ours["body"]
    assert ours["edits"] == PUSHES - 1


def test_a_watermark_that_a_stranger_copied_is_not_taken_for_ours(forge: Forge) -> None:
    forge.leave_report(REPORT)
    forge.report()
    (ours,) = forge.comments()
    theirs = _comment(ours["id"] + 1, "mallory", f"All is well!\n\n{WATERMARK}")
    other_bot = _comment(ours["id"] + 2, "lint[bot]", f"Style\n\n{WATERMARK}")
    forge.alter(comments=[ours, theirs, other_bot])

    forge.leave_report(REPORT.replace("PASSED", "FAILED"))
    assert forge.report(run_id="101").code == 0
    after = {each["user"]["login"]: each["body"] for each in forge.comments()}
    assert len(forge.comments()) == 3
    assert after["mallory"] == theirs["body"]
    assert after["lint[bot]"] == other_bot["body"]
    assert "FAILED" in after[BOT]


def test_two_comments_of_ours_become_one(forge: Forge) -> None:
    forge.alter(comments=[_comment(number, BOT, f"An older report\n\n{WATERMARK}") for number in (1, 2)])
    forge.leave_report(REPORT)
    assert forge.report().code == 0
    (comment,) = forge.comments()
    assert comment["id"] == 2
    assert "Every gate passed." in comment["body"]


def test_a_502_ends_in_a_comment(forge: Forge) -> None:
    forge.leave_report(REPORT)
    run = forge.report("--fault", '{"method": "POST", "path": "/comments$", "status": 502, "times": 2}')
    assert run.code == 0, run.output
    # CML's request, a first one through the API, and the one that arrived.
    assert [status for *_, status in run.wrote()] == [502, 502, 201]
    assert len(forge.comments()) == 1
    # The next push finds it, although CML did not write it.
    forge.leave_report(REPORT.replace("PASSED", "FAILED"))
    again = forge.report(run_id="101")
    assert [method for method, *_ in again.wrote()] == ["PATCH"]
    assert len(forge.comments()) == 1


def test_where_github_stays_down_the_run_fails_and_its_summary_has_the_report(forge: Forge) -> None:
    forge.leave_report(REPORT)
    run = forge.report("--fault", '{"method": "POST", "path": "/comments$", "status": 502, "times": 100}')
    assert run.code != 0
    assert forge.comments() == []
    assert "Every gate passed." in run.summary
    assert "The report is in this run's summary" in run.log


def test_without_cml_the_comment_is_posted_all_the_same(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CML_DIR")
    for cached in (forge.work / "act" / "tool_cache").glob("cml*"):
        cached.rename(cached.with_name("gone"))
    forge.leave_report(REPORT)
    run = forge.report()
    assert run.code == 0, run.output
    assert "success" not in {result for step, result in run.steps.items() if "setup-cml" in step and "Main" in step}
    assert len(forge.comments()) == 1


@pytest.mark.parametrize(
    "hostile",
    [
        "## PASSED\n\n![beacon](https://example.com/x.png)\n",
        "## PASSED\n\n<img src=x onerror=alert(1)>\n",
        "## PASSED\n\n@everyone: [approve](https://example.com)\n",
        f"## PASSED\n\n{WATERMARK}\n",
        "x" * 60_001,
    ],
    ids=["image", "html", "mention", "watermark", "size"],
)
def test_a_report_that_is_more_than_a_report_is_refused(forge: Forge, hostile: str) -> None:
    forge.leave_report(hostile)
    run = forge.report()
    assert run.code != 0
    (comment,) = forge.comments()
    assert "was refused" in comment["body"]
    assert hostile.strip() not in comment["body"]
    assert hostile.strip() not in run.summary


def test_a_run_that_left_no_report_does_not_leave_the_old_one_standing(forge: Forge) -> None:
    forge.leave_report(REPORT)
    forge.report()
    forge.leave_report(None)
    assert forge.report(run_id="101", conclusion="failure").code == 0
    (comment,) = forge.comments()
    assert "PASSED" not in comment["body"]
    assert "before it had written a report" in comment["body"]


def test_a_fork_gets_its_comment_and_the_artifact_cannot_say_where(forge: Forge) -> None:
    """The event names no pull request for a fork; the branch is looked up, and the artifact is not asked."""
    forge.leave_report(REPORT)
    folder = forge.work / "artifacts/1/pull-request-report"
    (folder / "number").write_text("7")
    run = forge.report(pull_requests=[], head_repository={"full_name": "someone/fork"})
    assert run.code == 0, run.output
    assert run.wrote() == [("POST", COMMENTS, 201)]


def test_nothing_is_posted_where_the_pull_request_has_moved_on_or_is_not_there(forge: Forge) -> None:
    forge.leave_report(REPORT)
    stale = forge.report(head_sha="0" * 40)
    assert stale.code == 0
    assert "has moved on" in stale.log
    unknown = forge.report(run_id="101", pull_requests=[], head_branch='x"; touch pwned; $(touch pwned)')
    assert unknown.code == 0
    assert "no open pull request" in unknown.log
    assert forge.comments() == []
    assert not list(forge.work.rglob("pwned"))


@pytest.mark.parametrize("changes", [{"event": "push"}, {"conclusion": "cancelled"}])
def test_other_runs_are_not_reported_on(forge: Forge, changes: dict[str, str]) -> None:
    forge.leave_report(REPORT)
    run = forge.report(**changes)
    assert run.code == 0
    assert run.wrote() == []
