"""The main branch of a replay, as the gates see it: what was merged last, and nothing else."""

import hashlib
from pathlib import Path

from gitrain.errors import UsageError
from gitrain.operations.replay.candidates import Candidate
from gitrain.pipeline.layout import EVALUATION, LOCK, MODEL, MODEL_MANIFEST, PARAMS

__all__ = ["MergedModel"]

_BRANCH = "main"


class MergedModel:
    """One commit with a champion: a `Repository` and an `ArtifactCache` for `check_gates`.

    Args:
        params: the text of params.yaml: the rules are the same all year.
        champion: the model that was merged.
    """

    def __init__(self, params: str, champion: Candidate) -> None:
        self._champion = champion
        md5 = hashlib.md5(champion.content, usedforsecurity=False).hexdigest()
        lock = (
            "schema: '2.0'\nstages:\n  train:\n    cmd: gitrain train\n    outs:\n"
            f"    - path: {MODEL}\n      md5: {md5}\n      hash: md5\n      size: {len(champion.content)}\n"
        )
        self._md5 = md5
        self._files = {
            PARAMS: params,
            LOCK: lock,
            MODEL_MANIFEST: champion.manifest.to_json(),
            EVALUATION: champion.evaluation.to_json(),
        }
        # No commit of Git: a name for this content, as a commit's hash is.
        joined = "\0".join(f"{name}\0{text}" for name, text in sorted(self._files.items()))
        self._commit = hashlib.sha256(joined.encode()).hexdigest()

    def commit(self, ref: str) -> str:
        """The commit's name."""
        if ref not in {_BRANCH, self._commit}:
            raise UsageError(f"{ref!r} names no commit of the replay", fix=f"use {_BRANCH!r}.")
        return self._commit

    def read(self, ref: str, path: str) -> bytes | None:
        """A file of the commit."""
        text = self._files.get(path)
        return None if text is None else text.encode()

    def head(self) -> str | None:
        """The commit's name."""
        return self._commit

    def changed(self) -> list[str]:
        """Nothing: nobody edits the past."""
        return []

    def find(self, md5: str) -> Path | None:
        """The champion's file."""
        return self._champion.file if md5 == self._md5 else None
