"""A model's files as a folder that MLflow can load: the skops file as it is, and descriptions beside it.

The folder is written here and not by `mlflow.sklearn.save_model`: that would store the model anew, with other bytes
than the ones whose digest was judged.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

__all__ = ["write_model_folder"]

_MODEL = "model.skops"


def write_model_folder(
    folder: Path,
    model: bytes,
    *,
    digest: str,
    created: datetime,
    python: str,
    requirements: Sequence[str],
    trusted_types: Sequence[str],
) -> None:
    """Write `MLmodel` and what it refers to into an empty folder; equal arguments give equal files.

    The format is described at https://mlflow.org/docs/latest/ml/model/#storage-format. As a Python function the model
    gives probabilities.

    Args:
        folder: it exists.
        model: the skops file.
        digest: of `model`, as ``sha256:`` and 64 hexadecimal digits.
        created: when, with its time zone.
        python: the version of Python, e.g. ``3.12``.
        requirements: as pip reads them.
        trusted_types: the types that skops may make beyond those that it trusts by itself.
    """
    pinned = dict(requirement.split("==", 1) for requirement in requirements if "==" in requirement)
    description = {
        "flavors": {
            "python_function": {
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.sklearn",
                "model_path": _MODEL,
                "predict_fn": "predict_proba",
                "python_version": python,
            },
            "sklearn": {
                "code": None,
                "pickled_model": _MODEL,  # the key's name; nothing is pickled
                "serialization_format": "skops",
                "skops_trusted_types": list(trusted_types),
                "sklearn_version": pinned.get("scikit-learn"),
            },
        },
        "metadata": {"gitrain.model_digest": digest},
        "model_size_bytes": len(model),
        "model_uuid": digest.removeprefix("sha256:")[:32],
        "utc_time_created": created.replace(tzinfo=None).isoformat(sep=" "),
    }
    environment = {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    conda = {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": list(requirements)}],
    }
    (folder / _MODEL).write_bytes(model)
    (folder / "MLmodel").write_text(_yaml(description), encoding="utf-8")
    (folder / "python_env.yaml").write_text(_yaml(environment), encoding="utf-8")
    (folder / "conda.yaml").write_text(_yaml(conda), encoding="utf-8")
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")


def _yaml(value: dict[str, Any]) -> str:
    return yaml.safe_dump(value, sort_keys=True, default_flow_style=False)
