"""The report on a pull request as Markdown: the verdict first, then what it rests on and what explains it."""

from gitrain.reports.pull_request_blocks import LIMIT, fit
from gitrain.reports.pull_request_changes import changes_blocks, reproduce_block, summary_line, time_block
from gitrain.reports.pull_request_document import PullRequestReport
from gitrain.reports.pull_request_model import calibration_block, curve_block, metrics_block, slices_block
from gitrain.reports.pull_request_verdicts import checks_block, gates_block, head_block

__all__ = ["render_pull_request"]


def render_pull_request(report: PullRequestReport, *, limit: int = LIMIT) -> str:
    """The report, in less than `limit` characters: the least important parts are shortened, then left out.

    Whatever comes from data, parameters, names or commits is escaped; there are no images, links or addresses in it,
    and no HTML but folded parts and code.
    """
    return fit(
        [
            head_block(report),
            summary_line(report),
            gates_block(report),
            checks_block(report),
            metrics_block(report),
            slices_block(report),
            *changes_blocks(report),
            curve_block(report),
            calibration_block(report),
            time_block(report),
            reproduce_block(report),
        ],
        limit=limit,
    )
