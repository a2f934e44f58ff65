from pathlib import Path

from gitrain.pipeline.rehearsal import Rehearsal, Requests, Step, StepResult
from gitrain.reports.rehearsal_markdown import render_rehearsal, render_steps
from gitrain.verdicts import Outcome

GOLDEN = Path(__file__).parent / "golden"


def step(name, lacks=""):
    return Step(name=name, proves=f"What {name} proves.", lacks=lacks)


def rehearsal(*, outcome=Outcome.PASSED, failed=0):
    return Rehearsal(
        project="parcels",
        champion_batch="2024-02",
        challenger_batch="2024-03",
        results=(
            StepResult(step=step("champion"), outcome=Outcome.PASSED, seconds=61.4, said=("roc_auc 0.780",)),
            StepResult(
                step=step("canary"),
                outcome=outcome,
                seconds=20.0,
                said=("0.2.0 runs at 127.0.0.1:8003 after 18.0 s", "hostile | <b>text</b>"),
            ),
            StepResult(step=step("slow", lacks="there is no bentofile.yaml"), outcome=None, said=("no bentofile",)),
        ),
        requests=Requests(
            total=4240,
            failed=failed,
            failures={"status 502": failed} if failed else {},
            seconds=106.0,
            p50_ms=6.0,
            p99_ms=95.0,
            longest_ms=1730.0,
        ),
        where=(("production", "http://127.0.0.1:8003"), ("the repository", "/here/repository")),
    )


def test_the_timeline():
    markdown = render_rehearsal(rehearsal(), folder=".demo", stop="gitrain -C .demo/repository deploy stop")
    assert markdown == (GOLDEN / "rehearsal.md").read_text(encoding="utf-8")


def test_what_failed_is_in_the_first_line():
    failed = render_rehearsal(rehearsal(outcome=Outcome.FAILED), folder=".demo", stop=None)
    assert failed.splitlines()[0] == "# ❌ parcels: step canary did not prove what it should"
    assert "still run" not in failed
    lost = render_rehearsal(rehearsal(failed=3), folder=".demo", stop=None)
    assert lost.splitlines()[0] == "# ❌ parcels: 3 requests of users failed"
    assert "3 failed (3 status 502).**" in lost


def test_the_steps_are_listed_with_what_they_lack():
    text = render_steps([step("champion"), step("slow", lacks="there is no bentofile.yaml")])
    assert "| 1 | champion | What champion proves. | – |" in text
    assert "| 2 | slow | What slow proves. | there is no bentofile.yaml |" in text


def test_json_has_what_others_read():
    payload = rehearsal(failed=1).to_json()
    assert payload["requests"]["total"] == 4240
    assert payload["requests"]["failed"] == 1
    assert payload["outcome"] == "FAILED"
    assert [(each["name"], each["outcome"], each["seconds"]) for each in payload["steps"]] == [
        ("champion", "PASSED", 61.4),
        ("canary", "PASSED", 20.0),
        ("slow", "LEFT OUT", 0.0),
    ]
