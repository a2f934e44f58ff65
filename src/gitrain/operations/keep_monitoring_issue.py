"""Keep the one issue of an environment's monitoring: open while the verdict is bad, closed once it is good again."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gitrain.errors import UsageError
from gitrain.monitoring.report import MonitoringReport
from gitrain.reports.monitoring_markdown import render_monitoring
from gitrain.triggers.forge import Issue, Issues
from gitrain.verdicts import Outcome

__all__ = ["KeptIssue", "keep_monitoring_issue"]

_SCHEMA_VERSION = 1
# It stands in Markdown: nothing that could end a link or begin markup.
_LINK = re.compile(r"https?://[\w.:/?=&%#~+-]{1,500}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class KeptIssue:
    """What became of the issue.

    Attributes:
        state: ``open``: it is, and says what the report says. ``closed``: it was, until now. ``none``: there is none,
            and there was none. ``untouched``: nothing was decided, so that one that is open stays as it is.
        outcome: of the report.
        issue: where it is open.
    """

    state: Literal["open", "closed", "none", "untouched"]
    outcome: Outcome
    issue: Issue | None = None

    def to_json(self) -> Mapping[str, object]:
        """JSON-serialisable values: what `gitrain monitor issue --json` prints."""
        issue = self.issue
        return {
            "schema_version": _SCHEMA_VERSION,
            "state": self.state,
            "outcome": self.outcome.value,
            "issue": {"key": issue.key, "number": issue.number, "url": issue.url, "created": issue.created}
            if issue is not None
            else None,
        }


def keep_monitoring_issue(
    issues: Issues, report: MonitoringReport, *, project: str, link: str | None = None
) -> KeptIssue:
    """Open it, change what it says, or close it: one issue an environment, however often it is called.

    INCONCLUSIVE neither opens nor closes one: a release whose labels have not come is no fault, and a fault whose
    labels have stopped coming is not mended.

    Args:
        issues: where it is kept.
        report: the newest verdict.
        project: whose report it has to be.
        link: where the whole report can be seen.

    Raises:
        UsageError: the report is another project's, or the link is none; or as `Issues.keep`.
        IntegrationError: as `Issues.keep`.
    """
    if report.project != project:
        raise UsageError(
            f"the monitoring report is of {report.project}, and this is {project}", fix="hand over its own."
        )
    if link is not None and not _LINK.fullmatch(link):
        raise UsageError(f"{link!r} is no link", fix="give an address that begins with https://.")
    key = f"monitoring/{report.environment}"
    if report.outcome is Outcome.INCONCLUSIVE:
        return KeptIssue(state="untouched", outcome=report.outcome)
    if report.outcome is Outcome.PASSED:
        said = f"PASSED: monitoring of {report.environment} finds nothing wrong any more."
        more = f" [The whole report]({link})." if link is not None else ""
        closed = issues.close(key, f"{said}{more}")
        return KeptIssue(state="closed" if closed else "none", outcome=report.outcome)
    where = f"\n[The whole report, with its figures]({link}).\n" if link is not None else ""
    issue = issues.keep(key, f"Monitoring of {report.environment} failed", f"{render_monitoring(report)}{where}")
    return KeptIssue(state="open", outcome=report.outcome, issue=issue)
