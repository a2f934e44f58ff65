"""Opens what is served, and what makes it."""

from pathlib import Path
from typing import TYPE_CHECKING

from gitrain.documents import parse_json
from gitrain.errors import ModelError
from gitrain.lineage import digest_of_bytes
from gitrain.pipeline.layout import MODEL_MANIFEST, SERVED, SERVING_MANIFEST
from gitrain.serving.manifest import ServingManifest
from gitrain.serving.model import ServedModel
from gitrain.settings import load_settings
from gitrain.training.manifest import ModelManifest

if TYPE_CHECKING:
    # It stands on the data contracts, which a service does not load.
    from gitrain.serving.choice import ModelConverter

__all__ = ["open_converter", "open_served_model", "open_serving_manifest"]

_AGAIN = "restore it with `dvc pull`, or run `dvc repro`; do not serve it."


def open_serving_manifest(root: Path) -> ServingManifest:
    """What is served below a root: a repository's, or that of a bundle.

    Raises:
        ModelError: there is none.
        SettingsError: it is damaged.
    """
    return parse_json(ServingManifest, _read(root, SERVING_MANIFEST).decode(), source=SERVING_MANIFEST)


def open_served_model(root: Path, *, threads: int = 1) -> ServedModel:
    """The model that is served, in whichever form; its digest is compared before anything is loaded.

    Args:
        root: a repository's root, or that of a bundle.
        threads: that one call of `score` may use, where the form lets us choose.

    Raises:
        ModelError: a file is missing, altered or unreadable.
        SettingsError: a manifest is damaged.
    """
    manifest = open_serving_manifest(root)
    if manifest.path != f"{SERVED}/model.{manifest.format}":
        raise ModelError(f"{SERVING_MANIFEST} names {manifest.path!r} as the model in {manifest.format}", fix=_AGAIN)
    content = _read(root, manifest.path)
    digest = digest_of_bytes(content)
    if digest != manifest.digest:
        raise ModelError(
            f"{manifest.path} has the digest {digest}, and {SERVING_MANIFEST} names {manifest.digest}", fix=_AGAIN
        )
    if manifest.format == "onnx":
        # Each form is imported where it is served: a service with ONNX never loads scikit-learn.
        from gitrain.integrations.onnx.session import OnnxModel

        return OnnxModel(content, name=manifest.path, threads=threads)
    from gitrain.integrations.skops_served import SkopsModel

    trained = parse_json(ModelManifest, _read(root, MODEL_MANIFEST).decode(), source=MODEL_MANIFEST)
    if trained.model_digest != manifest.model_digest:
        raise ModelError(
            f"{MODEL_MANIFEST} is about a model with {trained.model_digest}, and {SERVING_MANIFEST} about one with "
            f"{manifest.model_digest}",
            fix=_AGAIN,
        )
    trusted = load_settings(root).repository.trusted_types
    return SkopsModel(content, trained.columns, name=manifest.path, trusted=trusted)


def open_converter() -> "ModelConverter":
    """What converts models to ONNX."""
    from gitrain.integrations.onnx.converter import OnnxConverter

    return OnnxConverter()


def _read(root: Path, path: str) -> bytes:
    try:
        return (root / path).read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror}", fix="run `dvc pull`, or `dvc repro`, which writes it."
        ) from error
