"""dvc.lock: what the pipeline was last run with, and the hashes of what came out."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field

from gitrain.documents import Section, parse_yaml
from gitrain.errors import PipelineError, SettingsError
from gitrain.lineage import digest_of_bytes

__all__ = ["Lock", "LockedFile", "LockedStage", "listing_md5"]

_CONFLICT = re.compile(r"^(<{7}|={7}|>{7}|\|{7})( |$)", re.MULTILINE)
_TAKE_ONE_SIDE = "take one side of it (`git checkout --theirs dvc.lock`, or `--ours`), run `dvc repro`, commit it."


class _Entry(Section):
    # DVC may add keys that say nothing about content; those that do are checked.
    model_config = ConfigDict(extra="ignore", strict=True)


class LockedFile(_Entry):
    """A dependency or an output of a stage.

    Attributes:
        path: relative to dvc.lock, with slashes.
        md5: of the content; a folder's ends in ``.dir``. None where DVC tracks the file by other means.
        hash: ``md5``; None in files that DVC 2 wrote, whose hashes ignore line endings.
        size: bytes.
        nfiles: number of files, in a folder.
    """

    path: str
    md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}(\.dir)?$")
    hash: str | None = None
    size: int | None = Field(default=None, ge=0)
    nfiles: int | None = Field(default=None, ge=0)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.md5 is not None and self.md5.endswith(".dir")


class LockedStage(_Entry):
    """A stage as it was last run.

    Attributes:
        cmd: the command or commands.
        deps: what it read.
        params: by file, the parameters that it read.
        outs: what it wrote.
    """

    cmd: str | list[str]
    deps: list[LockedFile] = Field(default_factory=list)
    params: dict[str, dict[str, Any]] = Field(default_factory=dict)
    outs: list[LockedFile] = Field(default_factory=list)


class _LockFile(_Entry):
    version: Literal["2.0"] = Field(alias="schema")
    stages: dict[str, LockedStage] = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Lock:
    """The content of a dvc.lock.

    Attributes:
        source: where it came from, for messages, e.g. ``dvc.lock`` or ``dvc.lock at 3f2a91c``.
        digest: the SHA-256 of the file, as ``sha256:`` and 64 hexadecimal digits: what `sha256sum dvc.lock` prints.
        stages: by name, in the file's order.
        outs: what the stages wrote, by path.
    """

    source: str
    digest: str
    stages: Mapping[str, LockedStage]
    outs: Mapping[str, LockedFile]

    @classmethod
    def parse(cls, text: str, source: str = "dvc.lock") -> Self:
        """Read the text of a dvc.lock (schema 2.0).

        Raises:
            PipelineError: conflict markers, no YAML, another schema, keys that stand twice, impossible values, or two
                stages with one output (what a merge by lines leaves behind).
        """
        marker = _CONFLICT.search(text)
        if marker is not None:
            line = text.count("\n", 0, marker.start()) + 1
            raise PipelineError(f"{source} holds conflict markers (line {line})", fix=_TAKE_ONE_SIDE)
        try:
            content = parse_yaml(_LockFile, text, source=source)
        except SettingsError as error:
            raise PipelineError(error.what, fix=_TAKE_ONE_SIDE) from error
        outs: dict[str, LockedFile] = {}
        for name, stage in content.stages.items():
            for out in stage.outs:
                if out.path in outs:
                    raise PipelineError(
                        f"{source}: {out.path!r} is an output of two stages, one of them {name!r}", fix=_TAKE_ONE_SIDE
                    )
                outs[out.path] = out
        return cls(source=source, digest=digest_of_bytes(text.encode()), stages=content.stages, outs=outs)

    def md5_of(self, path: str) -> str:
        """The MD5 of an output (a folder's ends in ``.dir``).

        Raises:
            PipelineError: no stage wrote it, or its hash is not of its exact content.
        """
        out = self.outs.get(path)
        if out is None or out.md5 is None:
            known = ", ".join(sorted(self.outs)) or "none"
            raise PipelineError(
                f"{self.source} has no output {path!r}; its outputs: {known}",
                fix="run `dvc repro` and commit dvc.lock, or correct the outs in dvc.yaml.",
            )
        if out.hash != "md5":
            raise PipelineError(
                f"{self.source}: the hash of {path!r} is not an MD5 of its content ({out.hash or 'written by DVC 2'})",
                fix="run `dvc cache migrate --dvc-files`, or `dvc repro --force`, and commit dvc.lock.",
            )
        return out.md5

    def disagreements(self) -> list[str]:
        """Sentences that name each stage that was run on something else than what the stage before it wrote.

        A lock that `dvc repro` finished has none; a clean merge of two can have some, and so can a run that stopped.
        """
        found = []
        for name, stage in self.stages.items():
            for dep in stage.deps:
                out = self.outs.get(dep.path)
                if out is not None and dep.md5 != out.md5:
                    found.append(f"stage {name!r} read {dep.path} as {dep.md5}, and {self.source} has it as {out.md5}")
        return found


def listing_md5(members: Mapping[str, str]) -> str:
    """The MD5 of a folder, ``.dir`` behind it, from those of its files: of the listing that DVC writes.

    Args:
        members: the files' paths relative to the folder, with slashes, to their MD5.
    """
    entries = [{"md5": md5, "relpath": path} for path, md5 in sorted(members.items())]
    return f"{hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest()}.dir"
