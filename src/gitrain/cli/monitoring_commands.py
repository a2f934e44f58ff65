"""The commands of monitoring. A part of the table of commands."""

from gitrain.cli.command import Command
from gitrain.cli.command import flag as _flag

__all__ = ["MONITORING_COMMANDS"]

MONITORING_COMMANDS = (
    Command(
        ("monitor", "run"),
        "judge what an environment predicted: service, data, drift, performance with labels, calibration, skew",
        "gitrain.cli.monitoring:run",
        (
            _flag("--environment", metavar="ENV", required=True, help="whose predictions, e.g. production"),
            _flag("--since", metavar="TIME", help="from this date or time on, UTC (default: all that is logged)"),
            _flag("--through", metavar="TIME", help="up to this date (included) or time, UTC, as if it were now"),
            _flag(
                "--log",
                metavar="FOLDER",
                help="the logged predictions (default: GITRAIN_PREDICTION_LOG, else the environment's on this machine)",
            ),
            _flag(
                "--labels",
                metavar="FILE",
                action="append",
                default=[],
                help="rows of the entity's table with newer labels, .parquet or .csv; may be given again",
            ),
            _flag(
                "--labels-from-source",
                action="store_true",
                help="ask the project's source for the batches after data.through, for their labels",
            ),
            _flag(
                "--metrics",
                metavar="FILE",
                action="append",
                default=[],
                help="what a replica said under /metrics (default: ask those on this machine); may be given again",
            ),
            _flag("--out", metavar="FILE", help="write the verdict as JSON to this file"),
            _flag("--html", metavar="FILE", help="write a report for people to this file"),
            _flag("--markdown", metavar="FILE", help="write a short report for an issue to this file"),
            _flag("--prometheus", metavar="FILE", help="write gauges for Prometheus' textfile collector to this file"),
            _flag("--json", action="store_true", help="print the result as JSON on stdout"),
        ),
    ),
    Command(
        ("monitor", "issue"),
        "keep one issue an environment: opened and changed while the verdict is FAILED, closed once it is PASSED",
        "gitrain.cli.monitoring:issue",
        (
            _flag("report", metavar="FILE", help="what `gitrain monitor run --out` wrote"),
            _flag("--link", metavar="URL", help="where the whole report can be seen, for the issue"),
            _flag("--json", action="store_true", help="print the result as JSON on stdout"),
        ),
    ),
)
