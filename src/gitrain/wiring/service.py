"""What a service opens in its worker: settings and files become an `OpenedService`."""

import importlib.metadata
import os
import platform
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gitrain.documents import parse_json
from gitrain.errors import ModelError, SettingsError
from gitrain.integrations.log_copier import LogCopier
from gitrain.integrations.prediction_log import PredictionLog
from gitrain.integrations.shadow_copies import ShadowCopies
from gitrain.monitoring.logged import logged_schema
from gitrain.pipeline.layout import IDENTITY, KNOWN_ANSWERS, PREDICTION_LOG, SERVING_MANIFEST
from gitrain.project import Project, load_project
from gitrain.release.identity import ReleaseIdentity
from gitrain.serving.answering import Answering, PredictionObserver
from gitrain.serving.log_records import PredictedRows
from gitrain.serving.manifest import KnownAnswers, ServingManifest
from gitrain.serving.opened import OpenedService, ServiceObserver
from gitrain.serving.predictor import Predictor
from gitrain.serving.readiness import Readiness
from gitrain.serving.requests import RequestSchema
from gitrain.serving.service_document import service_document
from gitrain.settings import Settings, load_settings
from gitrain.wiring.models import open_served_model
from gitrain.wiring.online import open_lookup

__all__ = ["COPIES_LOG", "UNRELEASED", "describe_service", "open_service", "service_root"]

#: The folder inside that of the prediction log where answers to copies of requests are logged.
COPIES_LOG = "copies"
#: The version of a service that runs from a working tree.
UNRELEASED = "0.0.0+unreleased"

_PARQUET, _FILE_MB, _MOST_FILE_MB = "GITRAIN_PREDICTION_LOG_PARQUET", "GITRAIN_PREDICTION_LOG_FILE_MB", 128
_LIBRARIES = ("gitrain", "bentoml", "numpy", "onnxruntime", "pandera", "polars", "pydantic", "scikit-learn", "skops")


def service_root(module: str) -> Path:
    """The root that a service belongs to: of the repository, or of the sources of a built Bento.

    Args:
        module: the file of the service's module.

    Raises:
        SettingsError: no folder at or above it has a release.json, or a pyproject.toml with [tool.gitrain].
    """
    start = Path(module).resolve().parent
    for folder in (start, *start.parents):
        if (folder / IDENTITY).is_file():
            return folder
    return load_settings(start).root


def describe_service(root: Path) -> dict[str, Any]:
    """The OpenAPI description of a root's service; it needs neither model nor store."""
    found = _find(root)
    examples: list[dict[str, Any]] = []
    # A tree whose pipeline has not run yet has no examples, and still an API.
    if (root / KNOWN_ANSWERS).exists():
        examples = [_known(root).rows[0].inputs]
    return service_document(
        _schema(found.project),
        found.project.features,
        name=found.project.name,
        version=found.identity.version if found.identity else UNRELEASED,
        examples=examples,
    )


def open_service(root: Path, observer: ServiceObserver) -> OpenedService:
    """Open everything that a service needs.

    Raises:
        GitrainError: a file is missing or altered, or the store cannot be opened.
    """
    found = _find(root)
    begun = time.perf_counter()
    model = open_served_model(root)
    seconds = time.perf_counter() - begun
    manifest = parse_json(ServingManifest, _read(root, SERVING_MANIFEST), source=SERVING_MANIFEST)
    url = os.environ.get("GITRAIN_ONLINE_STORE")
    project = found.project
    predictor = Predictor(
        open_lookup(project.features, url, root),
        model,
        project.features,
        found.identity.threshold if found.identity else manifest.threshold,
    )
    schema = _schema(project)
    version = found.identity.version if found.identity else UNRELEASED
    readiness = Readiness(_known(root), schema=schema, predictor=predictor)
    folder = Path(os.environ.get("GITRAIN_PREDICTION_LOG") or root / PREDICTION_LOG)
    log = _prediction_log(folder, project, observer)
    orders = os.environ.get("GITRAIN_COPIES")
    # The log of what nobody was told: whoever reads that of predictions does not look into its folders.
    shadow = PredictionLog(folder / COPIES_LOG, clock=_now, observer=observer) if orders else None
    copies = ShadowCopies(Path(orders), observer.copied, release=version) if orders else None
    # Last: they are threads, and what failed before them is tried again.
    running = [each for each in (log, shadow, copies) if each is not None]
    for each in running:
        each.start()

    def close() -> None:
        for each in reversed(running):
            each.close()

    observer.opened(
        seconds=seconds,
        labels={
            "project": project.name,
            "version": version,
            "commit": found.identity.commit if found.identity else "",
            "model": manifest.model_digest,
            "format": model.format,
        },
    )
    return OpenedService(
        schema=schema,
        answering=Answering(
            schema, predictor, release=version, clock=_now, observer=_CountedAndLogged(observer, log, shadow or log)
        ),
        remote=url is not None and not url.startswith("sqlite:"),
        describe=lambda: _description(found, manifest, seconds, readiness),
        check=readiness.check,
        close=close,
        copy=copies.offer if copies is not None else None,
    )


def _prediction_log(folder: Path, project: Project, observer: ServiceObserver) -> PredictionLog:
    parquet, megabytes = os.environ.get(_PARQUET) or "on", os.environ.get(_FILE_MB) or "32"
    if parquet not in ("on", "off"):
        raise SettingsError(f"{_PARQUET} is {parquet!r}", fix="say on or off.")
    if not re.fullmatch(r"[1-9][0-9]{0,2}", megabytes) or int(megabytes) > _MOST_FILE_MB:
        raise SettingsError(f"{_FILE_MB} is {megabytes!r}", fix=f"say how many, from 1 to {_MOST_FILE_MB}.")
    schema = logged_schema(project.features, project.entity_table.contract)
    return PredictionLog(
        folder,
        clock=_now,
        observer=observer,
        copier=LogCopier(folder, schema) if parquet == "on" else None,
        max_file_bytes=int(megabytes) * 2**20,
    )


@dataclass(frozen=True)
class _CountedAndLogged:
    observer: PredictionObserver
    log: PredictionLog
    shadow: PredictionLog

    def predicted(self, rows: PredictedRows, newest: Mapping[str, datetime | None]) -> None:
        self.observer.predicted(rows, newest)
        (self.shadow if rows.copies else self.log).add(rows)


@dataclass(frozen=True)
class _Found:
    settings: Settings
    project: Project
    identity: ReleaseIdentity | None


def _find(root: Path) -> _Found:
    settings = load_settings(root)
    # As for commands: a project need not be installed to be found, and this tree goes before an installed one.
    for folder in (root, root / "src"):
        if folder.is_dir() and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    identity = root / IDENTITY
    return _Found(
        settings,
        load_project(settings.repository.project),
        parse_json(ReleaseIdentity, _read(root, IDENTITY), source=IDENTITY) if identity.exists() else None,
    )


def _schema(project: Project) -> RequestSchema:
    return RequestSchema.of(project.features.entity, project.entity_table.contract)


def _known(root: Path) -> KnownAnswers:
    return parse_json(KnownAnswers, _read(root, KNOWN_ANSWERS), source=KNOWN_ANSWERS)


def _read(root: Path, path: str) -> str:
    try:
        return (root / path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ModelError(
            f"there is no {path} in {root}", fix="run `dvc repro`, or `dvc pull` what has been run."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}", fix="restore the file.") from error


def _description(found: _Found, manifest: ServingManifest, seconds: float, readiness: Readiness) -> Mapping[str, Any]:
    if found.identity is not None:
        release = found.identity.model_dump(mode="json")
    else:
        release = {
            "project": found.project.name,
            "version": UNRELEASED,
            "model_digest": manifest.model_digest,
            "served_format": manifest.format,
            "served_digest": manifest.digest,
            "threshold": manifest.threshold,
        }
    return release | {
        "released": found.identity is not None,
        "served_because": manifest.reason,
        "model_load_seconds": round(seconds, 3),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "libraries": _versions(),
        "features": {"newest": readiness.newest()},
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _now() -> datetime:
    return datetime.now(UTC)
