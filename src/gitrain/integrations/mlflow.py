"""MLflow: the record of runs and the registry of models, in an SQLite file or on any server.

Only clients with an address of their own are used: nothing here reads or sets MLflow's process-wide address or active
run, so stores with different addresses live side by side.
"""

import contextlib
import os
import re
import socket
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from typing import TypeVar

# MLflow reads it when it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, Run, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from gitrain.errors import IntegrationError
from gitrain.integrations.mlflow_database import LocalDatabase, local_database
from gitrain.integrations.mlflow_model import write_model_folder
from gitrain.integrations.mlflow_records import (
    COMPLETE,
    CURVE,
    DATABASE,
    DIRTY,
    KEY,
    MODEL_DIGEST,
    MODEL_VERSION,
    commit_tags,
    first_tags,
    points_of,
    quoted,
    record_of,
    shortened,
    tags_of,
)
from gitrain.integrations.mlflow_releases import alias_of, releases_of, tags_of_release
from gitrain.registry.models import RegisteredModel
from gitrain.registry.releases import RegisteredRelease
from gitrain.tracking.runs import CurvePoint, RunRecord

__all__ = ["MlflowRunStore"]

# What one request may hold.
_METRICS_A_BATCH = 1000
_OTHERS_A_BATCH = 100
_PAGE = 1000
_Item = TypeVar("_Item")
_ITS_OWN_ERRORS = ("mlflow", "requests", "sqlalchemy", "sqlite3", "urllib3")


@dataclass(frozen=True)
class MlflowRunStore:
    """A `RunStore`, a `ModelRegistry` and a `ReleaseRegistry` on MLflow.

    A project is an experiment, a record one of its runs, found by the tag ``gitrain.key``. Until the last tag,
    ``gitrain.complete``, is written, a run does not count, and recording it again completes it.

    Attributes:
        uri: the tracking URI: ``sqlite:///`` and a path, relative to `root` or absolute, or the address of a server.
        root: the repository's root. Artifacts of an SQLite store lie in ``mlruns`` beside the database.
        trusted_types: the types that a stored model may be made of, beyond those that skops trusts by itself.
        patience: seconds to wait for other programs that write to the same database.
    """

    uri: str
    root: Path
    trusted_types: tuple[str, ...] = ()
    patience: float = 30.0

    def record(self, run: RunRecord, files: Mapping[str, bytes]) -> RunRecord:
        """Keep a run and its files once; see `RunStore.record`."""
        with self._writing() as client:
            experiment = self._experiment(client, run.project)
            found = _runs_of(client, experiment.experiment_id, run.key)
            kept = next((candidate for candidate in found if _is_complete(candidate)), None)
            if kept is None:
                unfinished = found[0] if found else self._created(client, experiment, run)
                _write(client, unfinished, run, files)
                kept = _the_only_one(client, experiment.experiment_id, run.key, unfinished)
            elif not run.dirty and _tag(kept, DIRTY) == "true":
                # It was recorded before it was committed; now there is a commit that brings it back.
                client.log_batch(kept.info.run_id, tags=_run_tags(commit_tags(run)))
            return _record_of(client.get_run(kept.info.run_id), client)

    def list(self, project: str) -> list[RunRecord]:
        """The finished records of a project, the newest first, without their curves."""
        with self._reading() as client:
            experiment = client.get_experiment_by_name(project) if client else None
            if client is None or experiment is None:
                return []
            found = _search(client, experiment.experiment_id, f"tags.`{COMPLETE}` = 'true'", "start_time DESC")
            records = [_record_of(run) for run in found]
        return sorted(records, key=lambda record: record.recorded_at, reverse=True)

    def get(self, project: str, key: str) -> RunRecord | None:
        """The finished record with that key, with its curves; None if there is none."""
        with self._reading() as client:
            experiment = client.get_experiment_by_name(project) if client else None
            if client is None or experiment is None:
                return None
            found = _runs_of(client, experiment.experiment_id, key)
            return next((_record_of(run, client) for run in found if _is_complete(run)), None)

    def register(self, run: RunRecord, model: bytes, *, python: str, requirements: Sequence[str]) -> RegisteredModel:
        """Keep a run's model as a new version, once; see `ModelRegistry.register`."""
        if run.run_id is None:
            raise IntegrationError(f"run {run.short_key} is not recorded yet", fix="record it first.")
        with self._writing() as client:
            found = _version_of(client, run.project, run.model_digest)
            if found is None:
                _ensure_registered_model(client, run.project)
                with tempfile.TemporaryDirectory(prefix="gitrain-") as folder:
                    write_model_folder(
                        Path(folder),
                        model,
                        digest=run.model_digest,
                        created=run.recorded_at.astimezone(UTC),
                        python=python,
                        requirements=requirements,
                        trusted_types=self.trusted_types,
                    )
                    client.log_artifacts(run.run_id, folder, "model")
                source = f"{client.get_run(run.run_id).info.artifact_uri}/model"
                tags = {MODEL_DIGEST: run.model_digest, KEY: run.key, **commit_tags(run)}
                made = client.create_model_version(run.project, source, run.run_id, tags=tags)
                found = _version_of(client, run.project, run.model_digest) or made
                if found.version != made.version:  # another process was quicker
                    client.delete_model_version(run.project, made.version)
            client.set_tag(run.run_id, MODEL_VERSION, str(found.version))
            return _registered(found)

    def find(self, name: str, model_digest: str) -> RegisteredModel | None:
        """The oldest version of a model with that digest; None if there is none."""
        with self._reading() as client:
            found = _version_of(client, name, model_digest) if client else None
            return _registered(found) if found else None

    def name_release(self, model: RegisteredModel, release: RegisteredRelease) -> bool:
        """Say of a model that a release serves it, by a tag and an alias; see `ReleaseRegistry.name_release`."""
        alias, number = alias_of(release.version), str(model.version)
        with self._writing() as client:
            aliased = {name: str(at) for name, at in client.get_registered_model(model.name).aliases.items()}
            tags = client.get_model_version(model.name, number).tags
            said = next((each for each in releases_of(tags) if each.version == release.version), None)
            if aliased.get(alias, number) != number or said not in (None, release):
                raise IntegrationError(
                    f"MLflow knows {release.version} of {model.name!r} as another release than {release.record_digest}",
                    fix="a release is never replaced: build it again, with the next version.",
                )
            if said is not None and alias in aliased:
                return False
            for name, value in tags_of_release(release, tags).items():
                client.set_model_version_tag(model.name, number, name, value)
            client.set_registered_model_alias(model.name, alias, number)
        return True

    def releases(self, model: RegisteredModel) -> Sequence[RegisteredRelease]:
        """The releases that serve a model, in the order of their versions."""
        with self._reading() as client:
            return releases_of(client.get_model_version(model.name, str(model.version)).tags) if client else []

    @contextlib.contextmanager
    def _writing(self) -> Iterator[MlflowClient]:
        database = local_database(self.uri, self.root)
        with self._explaining():
            if database is None:
                self._reach()
                yield self._client(self.uri)
                return
            with database.held(self.patience):
                database.prepare(self.patience)
                yield self._client(database.uri)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[MlflowClient | None]:
        """A client; None if there is no database yet: reading makes none."""
        database = local_database(self.uri, self.root)
        if database is not None and not database.path.exists():
            yield None
            return
        with self._explaining():
            if database is None:
                self._reach()
            yield self._client(database.uri if database else self.uri)

    @staticmethod
    def _client(uri: str) -> MlflowClient:
        return MlflowClient(tracking_uri=uri, registry_uri=uri)

    def _reach(self) -> None:
        """MLflow retries a dead server for minutes; this notices at once."""
        address = urllib.parse.urlsplit(self.uri)
        if address.scheme not in {"http", "https"} or address.hostname is None or urllib.request.getproxies():
            return
        port = address.port or (443 if address.scheme == "https" else 80)
        socket.create_connection((address.hostname, port), timeout=min(self.patience, 10)).close()

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        """Turn the errors of MLflow and of what it calls into ours."""
        try:
            yield
        except Exception as error:
            kind = type(error)
            if kind.__module__.partition(".")[0] not in _ITS_OWN_ERRORS and not isinstance(error, OSError):
                raise
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> IntegrationError:
        where = re.sub(r"//[^/@]*@", "//", self.uri)  # no password in messages
        said = " ".join(str(error).split())
        if isinstance(error, ConnectionError | TimeoutError | socket.gaierror):
            fix = "start it (`mlflow server`), or correct MLFLOW_TRACKING_URI or tracking_uri in pyproject.toml."
            return IntegrationError(f"no MLflow server answers at {where}: {said}", fix=fix)
        if "database is locked" in said:
            fix = "run the command again when the other program that writes to it is done."
        elif "out-of-date database schema" in said:
            fix = "make a copy of the database, then run `mlflow db upgrade` with its URI."
        elif re.search(r"\b(401|403)\b|PERMISSION_DENIED|UNAUTHENTICATED", said):
            fix = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
        else:
            fix = "look at the server's log, or at the database and the disk; records can be made again at any time."
        return IntegrationError(f"MLflow at {where} failed: {said[:500]}", fix=fix)

    def _experiment(self, client: MlflowClient, project: str) -> Experiment:
        experiment = client.get_experiment_by_name(project)
        database = local_database(self.uri, self.root)
        if experiment is None:
            place = (database.artifacts / project).as_uri() if database else None
            tags = {DATABASE: str(database.path)} if database else {}
            try:
                client.create_experiment(project, artifact_location=place, tags=tags)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            experiment = client.get_experiment_by_name(project)
        if experiment is None or experiment.lifecycle_stage != "active":
            raise IntegrationError(
                f"the MLflow experiment {project!r} was deleted",
                fix="restore it (`mlflow experiments restore`), or delete it for good (`mlflow gc`).",
            )
        _refuse_moved(experiment, database)
        return experiment

    @staticmethod
    def _created(client: MlflowClient, experiment: Experiment, run: RunRecord) -> Run:
        milliseconds = round(run.recorded_at.timestamp() * 1000)
        return client.create_run(
            experiment.experiment_id,
            start_time=milliseconds - round(1000 * sum(run.durations.values())),
            tags=first_tags(run),
            run_name=run.short_key,
        )


def _refuse_moved(experiment: Experiment, database: LocalDatabase | None) -> None:
    """MLflow stores artifact folders as absolute paths: a copied database would write beside the original."""
    made_for = experiment.tags.get(DATABASE)
    if database is not None and made_for is not None and made_for != str(database.path):
        raise IntegrationError(
            f"{database.path} was made as {made_for}: its artifacts would go there",
            fix="move it back, or move it and `mlruns` away: a new one is made, and runs can be recorded again.",
        )


def _write(client: MlflowClient, stored: Run, run: RunRecord, files: Mapping[str, bytes]) -> None:
    """Write everything; what an earlier attempt wrote is written over with the same values, or left."""
    run_id, time = stored.info.run_id, stored.info.start_time
    params = [Param(quoted(name), shortened(value)) for name, value in run.params.items()]
    params = [param for param in params if param.key not in stored.data.params]
    # With one time for all of them, a metric that is written again is the same row and not a second point; the seconds
    # of a stage may have changed since, and the first ones stay.
    metrics = [
        Metric(name, value, time, step)
        for name, value, step in points_of(run)
        if name.startswith(CURVE) or name not in stored.data.metrics
    ]
    tags = tags_of(replace(run, artifacts=tuple(files)))
    for some_params in _batches(params, _OTHERS_A_BATCH):
        client.log_batch(run_id, params=some_params)
    for some_metrics in _batches(metrics, _METRICS_A_BATCH):
        client.log_batch(run_id, metrics=some_metrics)
    for some_tags in _batches(_run_tags(tags), _OTHERS_A_BATCH):
        client.log_batch(run_id, tags=some_tags)
    with tempfile.TemporaryDirectory(prefix="gitrain-") as folder:
        for path, content in files.items():
            file = Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        client.log_artifacts(run_id, folder)
    # MLflow prints an address when a run on a server ends; stdout is for results.
    with contextlib.redirect_stdout(sys.stderr):
        client.set_terminated(run_id, "FINISHED", end_time=round(run.recorded_at.timestamp() * 1000))
    client.set_tag(run_id, COMPLETE, "true")


def _the_only_one(client: MlflowClient, experiment_id: str, key: str, mine: Run) -> Run:
    """Two processes may have recorded one key on one server: the older run stays."""
    complete = [run for run in _runs_of(client, experiment_id, key) if _is_complete(run)]
    oldest = complete[0] if complete else mine
    if oldest.info.run_id != mine.info.run_id:
        client.delete_run(mine.info.run_id)
    return oldest


def _runs_of(client: MlflowClient, experiment_id: str, key: str) -> list[Run]:
    """The runs with that key, finished or not, the oldest first."""
    found = _search(client, experiment_id, f"tags.`{KEY}` = '{key}'", "start_time ASC")
    return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))


def _search(client: MlflowClient, experiment_id: str, where: str, order: str) -> list[Run]:
    found: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment_id], where, max_results=_PAGE, order_by=[f"attributes.{order}"], page_token=token
        )
        found.extend(page)
        token = page.token
        if not token:
            return found


def _record_of(run: Run, client: MlflowClient | None = None) -> RunRecord:
    """The record that a run holds; with a client its curves are fetched too."""
    curves: dict[str, tuple[CurvePoint, ...]] = {}
    if client is not None:
        for name in sorted(name for name in run.data.metrics if name.startswith(CURVE)):
            history = client.get_metric_history(run.info.run_id, name)
            points = sorted({(point.step, point.value) for point in history})
            curves[name] = tuple(CurvePoint(step=step, value=value) for step, value in points)
    return record_of(
        run.info.run_id, tags=run.data.tags, params=run.data.params, metrics=run.data.metrics, curves=curves
    )


def _run_tags(tags: Mapping[str, str]) -> list[RunTag]:
    return [RunTag(name, value) for name, value in tags.items()]


def _tag(run: Run, name: str) -> str | None:
    value: str | None = run.data.tags.get(name)
    return value


def _is_complete(run: Run) -> bool:
    return _tag(run, COMPLETE) == "true"


def _batches(items: Sequence[_Item], size: int) -> Iterable[Sequence[_Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _ensure_registered_model(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _version_of(client: MlflowClient, name: str, model_digest: str) -> ModelVersion | None:
    where = f"name = '{name}' and tags.`{MODEL_DIGEST}` = '{model_digest}'"
    found = client.search_model_versions(where, max_results=_PAGE)
    return min(found, key=lambda version: int(version.version), default=None)


def _registered(version: ModelVersion) -> RegisteredModel:
    tags = version.tags
    return RegisteredModel(
        name=version.name,
        version=int(version.version),
        model_digest=tags[MODEL_DIGEST],
        run_key=tags.get(KEY, ""),
        run_id=version.run_id or "",
        commit=tags.get("gitrain.commit") or None,
        source=version.source or "",
    )
