"""A made-up year of a replay: 275 days, two promotions, an alarm, hostile names."""

from datetime import UTC, datetime, timedelta

from gitrain.pipeline.replay import ReplayedBatch, ReplayedDay, ReplayedRelease, ReplayedVerdict, ReplayReport
from gitrain.verdicts import Outcome

__all__ = ["year"]

START = datetime(2013, 4, 1, 7, tzinfo=UTC)


def year(*, project: str = "trips", reason: str = "log_loss -0.01 [-0.02, +0.01]: not shown to be better"):
    """The report."""
    days, batches = [], []
    for place in range(275):
        moment = START + timedelta(days=place)
        release = "1.0.0" if place < 120 else "1.1.0"
        loss = 0.5 + 0.02 * ((place * 7) % 11) / 11
        days.append(
            ReplayedDay(
                day=f"{moment:%Y-%m-%d}",
                batch=f"{moment:%Y-%m}",
                release=release,
                predictions=900,
                labelled=880,
                log_loss=loss - (0.004 if place >= 120 else 0.0),
                log_loss_without=loss,
                base_loss=0.56,
                positive_share=0.25,
                looked=moment + timedelta(days=2),
                estimate=0.9 + 0.0004 * place,
                lower=None if place == 0 else 0.85 + 0.0004 * place,
                upper=None if place == 0 else 0.95 + 0.0004 * place,
                threshold=0.94,
                alarm=100 <= place < 120,
                naive_alarm=60 <= place < 120,
            )
        )
    decisions = {4: "same", 7: "promoted", 12: "waited"}
    for month in range(4, 13):
        decision = decisions.get(month, "refused")
        batches.append(
            ReplayedBatch(
                batch=f"2013-{month:02}",
                predictions=27_000,
                labelled=26_400,
                releases=("1.0.0",) if month < 8 else ("1.1.0",),
                metrics={"roc_auc": 0.75 - month / 1000, "log_loss": 0.5},
                metrics_without={"roc_auc": 0.75 - month / 400, "log_loss": 0.5},
                metrics_candidate={} if decision == "waited" else {"roc_auc": 0.76 - month / 900},
                evidence=() if decision == "waited" else (f"2013-{month:02} is there",),
                decision=decision,
                release="1.1.0" if decision == "promoted" else None,
                verdicts=(ReplayedVerdict(name="champion", outcome=Outcome.FAILED, reason=reason),)
                if decision == "refused"
                else (),
                champion_reason=None if decision == "waited" else reason,
                decided=None if decision == "waited" else datetime(2013, month, 3, 8, tzinfo=UTC),
                alarms=("2013-07-10",) if month == 7 else (),
                naive_alarms=("2013-05-31",) if month == 5 else (),
                drifted=("temperature", "hour"),
                moved=("temperature",),
                features=35,
                training_rows=100_000,
                training_seconds=12.5,
                gates_seconds=1.5,
                monitoring_seconds=0.2,
                serving_seconds=0.5,
                logging_seconds=2.0,
                log_bytes=38_000_000,
                reused=month == 5,
            )
        )
    releases = (
        ReplayedRelease(
            name="1.0.0",
            model_digest=f"sha256:{'1' * 64}",
            trained_on=("2013-01", "2013-03"),
            judged_on=("2013-03",),
            first_day=days[0].day,
            last_day=days[119].day,
            days=120,
            alarm=days[100].day,
            days_to_alarm=101,
            naive_alarm=days[60].day,
            days_to_naive_alarm=61,
        ),
        ReplayedRelease(
            name="1.1.0",
            model_digest=f"sha256:{'2' * 64}",
            trained_on=("2013-01", "2013-06"),
            judged_on=("2013-07",),
            first_day=days[120].day,
            last_day=days[-1].day,
            days=155,
        ),
    )
    return ReplayReport(
        schema_version=1,
        project=project,
        target="late",
        unit="day",
        metrics=("roc_auc", "log_loss"),
        bootstrap=("2013-01", "2013-02", "2013-03"),
        batches=tuple(batches),
        days=tuple(days),
        releases=releases,
        overall={"roc_auc": 0.76, "log_loss": 0.49},
        overall_without={"roc_auc": 0.75, "log_loss": 0.5},
        difference=(-0.01, -0.02, -0.001),
        confidence=0.95,
        notes=("the sources end with 2013-12: nothing of 2014-01",),
        seconds=301.4,
        training_seconds=180.0,
        log_bytes=342_000_000,
    )
