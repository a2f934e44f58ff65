"""Batch prediction: what a tree or a release predicts with, where rows come from, and how a release is run."""

import contextlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from gitrain.documents import parse_json
from gitrain.errors import UsageError
from gitrain.features.definitions import FeatureSet
from gitrain.integrations.claimed_output import claimed_output
from gitrain.integrations.files import LocalWorkspace, replacing
from gitrain.integrations.release_process import run_gitrain
from gitrain.integrations.row_files import open_rows
from gitrain.lineage import digest_of_value
from gitrain.operations.predict_batch import BatchPredictor, batch_contract
from gitrain.pipeline.layout import IDENTITY, ONLINE_STORE
from gitrain.release.environment import refuse_differences
from gitrain.release.identity import ReleaseIdentity
from gitrain.release.requirements import parse_requirements
from gitrain.serving.predictor import Predictor
from gitrain.serving.row_source import RowSource
from gitrain.settings import load_settings
from gitrain.wiring.models import open_served_model, open_serving_manifest
from gitrain.wiring.online import open_lookup, open_online_store
from gitrain.wiring.releases import fetch
from gitrain.wiring.repository import Surroundings, open_repository, open_workspace
from gitrain.wiring.service import UNRELEASED

__all__ = ["BatchFiles", "open_batch", "predict_with_release"]

_STORE = "GITRAIN_ONLINE_STORE"
# Their versions decide what comes out of a release, beyond its own code and model.
_DECISIVE = ("numpy", "onnxruntime", "polars", "scikit-learn")


@dataclass(frozen=True, kw_only=True)
class BatchFiles:
    """A batch that is ready to be predicted.

    Attributes:
        batch: what predicts.
        source: the rows.
        output: the file's name in `workspace`.
        workspace: the folder that the output lies in.
        workers: how many parts are worked on at a time.
    """

    batch: BatchPredictor
    source: RowSource
    output: str
    workspace: LocalWorkspace
    workers: int


@contextlib.contextmanager
def open_batch(directory: str, source: str, output: str, *, store: str | None) -> Iterator[BatchFiles]:
    """Open everything that a batch prediction by the tree at `directory` needs; the output is claimed meanwhile.

    Args:
        directory: a folder of the repository, or of the sources in a bundle.
        source: a path, or a URL that fsspec knows: then the file is copied first.
        output: the path of a parquet file.
        store: the online store's URL; by default that of GITRAIN_ONLINE_STORE, else the one in the tree.

    Raises:
        GitrainError: what is missing or altered, or cannot be opened.
    """
    target = Path(output).absolute()
    if target.suffix.lower() != ".parquet":
        raise UsageError(f"the output {output} is no .parquet file", fix="name one that ends in .parquet.")
    found = open_repository(directory)
    workspace = open_workspace(target.parent)
    parts = target.with_name(f"{target.name}.parts")
    with claimed_output(target, parts, parts / "plan"):
        path = _copied(source, parts) if _is_url(source) else Path(source).absolute()
        if path == target:
            raise UsageError("input and output are one file", fix="name another output.")
        rows = open_rows(path, batch_contract(found.project))
        yield BatchFiles(
            batch=_open_predictor(found, _store_of(found.settings.root, store)),
            source=rows,
            output=target.name,
            workspace=workspace,
            workers=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        )


def predict_with_release(
    directory: str, version: str, source: str, output: str, *, store: str | None, as_json: bool
) -> int:
    """Predict a file with a release: its own code and model, in a child process.

    Args:
        directory: a folder of the repository.
        version: of the release, or ``latest``.
        source: as in `open_batch`.
        output: likewise.
        store: likewise; by default the one of the repository, not of the bundle.
        as_json: print the report as JSON.

    Returns:
        The exit code of the child process, which prints the report.

    Raises:
        UsageError: this environment has other versions of what decides the predictions than the release.
        ReleaseError: no store has the release, or it was changed.
    """
    root = load_settings(Path(directory)).root
    release = fetch(directory, version)
    requirements = release.folder / "env" / "python" / "requirements.txt"
    refuse_differences(
        release.record,
        parse_requirements(requirements.read_text(encoding="utf-8"), source=requirements.name),
        names=_DECISIVE,
        python=".".join(platform.python_version_tuple()[:2]),
        installed=_installed,
    )
    arguments = ["predict", "--input", source if _is_url(source) else str(Path(source).absolute())]
    arguments += ["--output", str(Path(output).absolute()), "--store", _store_of(root, store)]
    return run_gitrain(release.folder / "src", [*arguments, *(["--json"] if as_json else [])], python=sys.executable)


def _open_predictor(found: Surroundings, store: str) -> BatchPredictor:
    root, features = found.settings.root, found.project.features
    manifest = open_serving_manifest(root)
    identity = None
    if (root / IDENTITY).exists():
        identity = parse_json(ReleaseIdentity, found.workspace.read_text(IDENTITY), source=IDENTITY)
    digest = digest_of_value(
        {
            "identity": identity.model_dump(mode="json") if identity is not None else None,
            "manifest": manifest.model_dump(mode="json"),
            "store": _version_of(features, store, root),
        }
    )
    return BatchPredictor(
        project=found.project,
        predictor=Predictor(open_lookup(features, store, root), open_served_model(root), features, manifest.threshold),
        release=identity.version if identity is not None else UNRELEASED,
        digest=digest,
    )


def _version_of(features: FeatureSet, store: str, root: Path) -> list[object] | None:
    """What the online store holds now; None for features that need none."""
    if not features.histories:
        return None
    online = open_online_store(store, root)
    try:
        state = online.state()
    finally:
        online.close()
    return [store, state.version if state is not None else None]


def _store_of(root: Path, store: str | None) -> str:
    """The store's URL with a path of its own: a child process works in another root."""
    url = store or os.environ.get(_STORE)
    if url is None:
        return f"sqlite:///{root / ONLINE_STORE}"
    relative = url.removeprefix("sqlite:///")
    if relative != url and not relative.startswith("/"):
        return f"sqlite:///{root / relative}"
    return url


def _is_url(source: str) -> bool:
    return "://" in source


def _copied(url: str, parts: Path) -> Path:
    # fsspec takes a tenth of a second to import, and paths need none of it.
    from gitrain.integrations.fsspec import open_url

    path = parts / f".input{PurePosixPath(urlsplit(url).path).suffix}"
    with open_url(url) as stream, replacing(path) as copy:
        while block := stream.read(1 << 20):
            copy.write(block)
    return path


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
