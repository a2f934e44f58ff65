from gitrain.reports.verdicts_markdown import render_verdicts
from gitrain.verdicts import Outcome, Verdict


def test_the_verdict_comes_first():
    text = render_verdicts(
        "Gates",
        [
            Verdict(name="a", outcome=Outcome.PASSED, reason="fine", figures={"value": 0.75}),
            Verdict(name="b|`", outcome=Outcome.FAILED, reason="<bad>"),
        ],
    )

    assert text == (
        "## ❌ Gates: FAILED\n\n"
        "| verdict | rule | reason | figures |\n"
        "| --- | --- | --- | --- |\n"
        "| ✅ PASSED | `a` | fine | value 0.75 |\n"
        "| ❌ FAILED | b\\|\\` | \\<bad\\> |  |\n"
    )
