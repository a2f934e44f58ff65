"""How a record of a run is laid out in an MLflow run: the names of its tags and metrics, both ways."""

import json
import posixpath
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gitrain.lineage import digest_of_bytes
from gitrain.tracking.runs import CurvePoint, RunRecord

__all__ = [
    "COMPLETE",
    "CURVE",
    "DATABASE",
    "DIRTY",
    "KEY",
    "MODEL_DIGEST",
    "MODEL_VERSION",
    "commit_tags",
    "first_tags",
    "points_of",
    "quoted",
    "record_of",
    "shortened",
    "tags_of",
    "unquoted",
]

KEY = "gitrain.key"
COMPLETE = "gitrain.complete"
DIRTY = "gitrain.dirty"
MODEL_DIGEST = "gitrain.model_digest"
MODEL_VERSION = "gitrain.model_version"
DATABASE = "gitrain.database"
CURVE = "curve/"
_COMMIT = "gitrain.commit"
_PROJECT = "gitrain.project"
_RECORDED_AT = "gitrain.recorded_at"
_VALIDATION = "gitrain.validation"
_ARTIFACT = "gitrain.artifact."
_OUTPUT = "gitrain.output."
_SECONDS = "seconds/"

# MLflow takes 250 characters; prefixes are ours.
_LONGEST_NAME = 200
_LONGEST_VALUE = 6000
_DIGEST = 16


def first_tags(run: RunRecord) -> dict[str, str]:
    """The tags that a run is made with: what it is found by if nothing else gets written."""
    return {KEY: run.key, _PROJECT: run.project, _RECORDED_AT: run.recorded_at.isoformat()}


def commit_tags(run: RunRecord) -> dict[str, str]:
    """The tags of the commit. The last of them is what MLflow's own pages show."""
    tags = {_COMMIT: run.commit or "", DIRTY: json.dumps(run.dirty)}
    return tags | ({"mlflow.source.git.commit": run.commit} if run.commit else {})


def tags_of(run: RunRecord) -> dict[str, str]:
    """The tags that say what a run was made from."""
    tags = commit_tags(run) | {MODEL_DIGEST: run.model_digest}
    if run.validation is not None:
        tags[_VALIDATION] = run.validation
    tags |= {_OUTPUT + quoted(path): digest for path, digest in run.outputs.items()}
    return tags | {_ARTIFACT + quoted(path): "" for path in run.artifacts}


def points_of(run: RunRecord) -> list[tuple[str, float, int]]:
    """Name, value and step of every metric: metrics at step 0, curves, and the stages' seconds."""
    points = [(quoted(name), value, 0) for name, value in run.metrics.items()]
    points += [(CURVE + quoted(name), point.value, point.step) for name, curve in run.curves.items() for point in curve]
    return points + [(_SECONDS + quoted(stage), seconds, 0) for stage, seconds in run.durations.items()]


def record_of(
    run_id: str,
    *,
    tags: Mapping[str, str],
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    curves: Mapping[str, tuple[CurvePoint, ...]],
) -> RunRecord:
    """The record that a finished run holds; `curves` by the names that MLflow has."""
    version = tags.get(MODEL_VERSION)
    plain = {name: value for name, value in metrics.items() if not name.startswith((CURVE, _SECONDS))}
    return RunRecord(
        key=tags[KEY],
        project=tags[_PROJECT],
        commit=tags.get(_COMMIT) or None,
        dirty=tags.get(DIRTY) == "true",
        recorded_at=datetime.fromisoformat(tags[_RECORDED_AT]),
        params=_without(params, ""),
        metrics=_without(plain, ""),
        curves=_without(curves, CURVE),
        outputs=_without(tags, _OUTPUT),
        model_digest=tags[MODEL_DIGEST],
        durations=_without(metrics, _SECONDS),
        validation=tags.get(_VALIDATION),
        artifacts=tuple(_without(tags, _ARTIFACT)),
        run_id=run_id,
        model_version=int(version) if version else None,
    )


def quoted(name: str) -> str:
    """`name` in the letters that MLflow allows: any other, and the colon, becomes its code between colons, in hex.

    A name that is too long is cut, and ends in a part of its digest; that alone cannot be undone.
    """
    text = re.sub(r"[^A-Za-z0-9_\-./ ]", _code, name)
    # MLflow reads names as paths and refuses those that could be written shorter.
    if posixpath.normpath(text) != text or text.startswith((".", "/")):
        text = re.sub(r"[./]", _code, text)
    if len(text) > _LONGEST_NAME:
        text = f"{text[: _LONGEST_NAME - _DIGEST - 1]}-{_digest(name)}"
    return text


def unquoted(name: str) -> str:
    """The name that `quoted` was given."""
    return re.sub(r":([0-9a-f]{1,6}):", lambda match: chr(int(match[1], 16)), name)


def shortened(value: str) -> str:
    """`value` within MLflow's limit; the end of a longer one is replaced by a part of its digest."""
    if len(value) <= _LONGEST_VALUE:
        return value
    end = f"… ({len(value)} characters, sha256 {_digest(value)})"
    return value[: _LONGEST_VALUE - len(end)] + end


def _without(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The values whose names start with `prefix`, by the rest of their names, sorted."""
    chosen = {unquoted(name.removeprefix(prefix)): value for name, value in values.items() if name.startswith(prefix)}
    return dict(sorted(chosen.items()))


def _code(match: re.Match[str]) -> str:
    return f":{ord(match[0]):x}:"


def _digest(text: str) -> str:
    return digest_of_bytes(text.encode(errors="surrogatepass")).removeprefix("sha256:")[:_DIGEST]
