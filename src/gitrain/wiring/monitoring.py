"""Monitoring: where an environment's predictions, labels and figures are."""

import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from gitrain.data.incoming import cast_text
from gitrain.deployment.replicas import Observed
from gitrain.errors import DataError, GitrainError, IntegrationError, UsageError
from gitrain.integrations.http_client import HttpClient
from gitrain.integrations.kept_days import KeptDaysFiles
from gitrain.integrations.log_scan import LogScan
from gitrain.monitoring.quality import ServiceFigures, service_figures
from gitrain.operations.read_outcomes import read_outcomes
from gitrain.operations.run_monitoring import MonitoringTools
from gitrain.pipeline.layout import PREDICTION_LOG
from gitrain.project import Project
from gitrain.settings import Settings
from gitrain.wiring.deployments import open_deployer, open_desired, open_environment_names, state_folder
from gitrain.wiring.releases import open_release_stores
from gitrain.wiring.repository import open_repository, open_stage, read_batch_file

__all__ = ["open_monitoring"]

_LOG = "GITRAIN_PREDICTION_LOG"
_METRICS_SECONDS = 5.0


def open_monitoring(
    directory: str,
    environment: str,
    progress: Callable[[str], None],
    *,
    log: str | None = None,
    labels: Sequence[str] = (),
    metrics: Sequence[str] = (),
    from_source: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> MonitoringTools:
    """What monitoring of an environment needs.

    Args:
        directory: a folder of the repository.
        environment: its name; a file of environments/.
        progress: is told what goes on.
        log: the folder of predictions; by default that of GITRAIN_PREDICTION_LOG, else the one that the environment's
            replicas on this machine write, else ``.gitrain/predictions``.
        labels: Parquet or CSV files of rows of the entity's table, with labels that have come since `data.through`.
        metrics: files that hold what replicas say under /metrics; without any, those of this machine are asked.
        from_source: ask the project's sources for the batches after `data.through`, for their labels.
        clock: gives the time, UTC.

    Raises:
        SettingsError, ProjectError, UsageError: no repository, no such environment, no such file.
        DataError: labels that cannot be read.
    """
    found = open_repository(directory)
    settings, stage = found.settings, open_stage(directory, progress)
    names = open_environment_names(settings)
    if environment not in names:
        raise UsageError(
            f"there is no environment {environment!r}", fix=f"name one of: {', '.join(names) or 'none is committed'}."
        )
    outcomes = [_read_labels(found.project, Path(path)) for path in labels]
    if from_source:
        outcomes += read_outcomes(stage, before=clock())
    folder = _log_folder(settings, environment, log)
    observed = _observed(settings, environment, progress)
    kept = state_folder(settings) / "monitoring" / environment
    return MonitoringTools(
        stage=stage,
        environment=environment,
        log=LogScan(folder, kept=kept),
        kept=KeptDaysFiles(kept, progress, log=folder),
        outcomes=outcomes,
        figures=_figures_of_files(metrics) if metrics else _figures_of_replicas(observed),
        running=observed.running.version if observed.running is not None else None,
        models=lambda release: _model_of(settings, release),
        clock=clock,
        seconds=time.monotonic,
    )


def _log_folder(settings: Settings, environment: str, log: str | None) -> Path:
    given = log or os.environ.get(_LOG)
    if given:
        return Path(given).absolute()
    local = state_folder(settings) / "environments" / environment / "predictions"
    return local if local.is_dir() else settings.root / PREDICTION_LOG


def _read_labels(project: Project, path: Path) -> pl.DataFrame:
    file = read_batch_file(path)
    if not file.text:
        return file.frame
    frame, findings = cast_text(file.frame, project.entity_table.contract)
    if findings:
        raise DataError(f"{path.name}: {findings[0].message}", fix="write the file as the data contract says.")
    return frame


def _figures_of_files(paths: Sequence[str]) -> ServiceFigures:
    texts = []
    for path in paths:
        try:
            texts.append(Path(path).read_text(encoding="utf-8", errors="replace"))
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}", fix="correct the path.") from error
    return service_figures(texts)


def _observed(settings: Settings, environment: str, progress: Callable[[str], None]) -> Observed:
    """What runs on this machine; nothing where that cannot be told."""
    if not (state_folder(settings) / "environments" / environment).is_dir():
        return Observed()
    try:
        return open_deployer(settings, open_desired(settings, environment), progress).observe()
    except GitrainError as error:
        # Predictions can be judged without: who serves them is not what was asked.
        progress(f"the replicas of {environment} cannot be asked: {error.what}")
        return Observed()


def _figures_of_replicas(observed: Observed) -> ServiceFigures | None:
    """What the replicas on this machine say; None where there are none. Those of what runs that died are silent."""
    serving = [replica for replica in observed.replicas if replica.alive]
    dead = [replica for replica in observed.of(observed.running) if not replica.alive]
    texts, silent = [], len(dead)
    for replica in serving:
        try:
            reply = HttpClient(url=f"http://127.0.0.1:{replica.port}", timeout=_METRICS_SECONDS).send("GET", "/metrics")
        except IntegrationError:
            silent += 1
            continue
        texts.append(reply.body.decode("utf-8", errors="replace"))
    return service_figures(texts, silent=silent) if serving or dead else None


def _model_of(settings: Settings, release: str) -> str | None:
    try:
        records = (store.find(release) for store in open_release_stores(settings))
        return next((record.identity.model_digest for record in records if record is not None), None)
    except (GitrainError, ValueError):
        return None
