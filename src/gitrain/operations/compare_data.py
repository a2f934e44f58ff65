"""How the data of this tree differs from the base's, by the hashes of both locks and by the files where they differ."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.checks.data_difference import (
    BatchDifference,
    Bins,
    DataDifference,
    changed_members,
    feature_difference,
    make_bins,
    null_shares,
    unit_counts,
)
from gitrain.errors import GitrainError, PipelineError
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import FEATURES, LOCK, VALIDATED, WHOLE
from gitrain.pipeline.lock import Lock
from gitrain.pipeline.repository import ArtifactCache, Repository

__all__ = ["Files", "compare_data", "locks_of", "read_members"]

_SAMPLE = 50_000
_NO_BASE = "no base commit was named: pass --base with the branch that this is to be merged into"


@dataclass(frozen=True, kw_only=True)
class Files:
    """The files of one output in one commit.

    Attributes:
        folder: the output's path.
        members: relative path to MD5; None if the folder's listing is not to be had.
    """

    folder: str
    members: Mapping[str, str] | None


@dataclass
class _Counts:
    """What was counted of one column, batch by batch."""

    units: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    total: float = 0.0
    numbers: int = 0

    def add(self, bins: Bins, values: pl.Series, units: pl.Series) -> None:
        names, counts = unit_counts(bins, values, units)
        for name, row in zip(names, counts, strict=True):
            self.units[name] = self.units.get(name, 0) + row
        if bins.edges is not None:
            numbers = values.cast(pl.Float64).drop_nulls().drop_nans()
            self.total += float(numbers.sum())
            self.numbers += len(numbers)

    @property
    def matrix(self) -> NDArray[np.int64]:
        return np.array([self.units[name] for name in sorted(self.units)], dtype=np.int64)

    @property
    def mean(self) -> float | None:
        return self.total / self.numbers if self.numbers else None


def locks_of(stage: Stage, repository: Repository, commit: str | None) -> tuple[Lock, Lock | None]:
    """The lock of this tree, and that of the commit if it has one that can be read.

    Raises:
        PipelineError: this tree has none.
    """
    here = Lock.parse(stage.workspace.read_text(LOCK))
    content = repository.read(commit, LOCK) if commit is not None else None
    try:
        before = Lock.parse(content.decode(), source=f"{LOCK} of the base") if content is not None else None
    except (PipelineError, UnicodeDecodeError):
        before = None
    return here, before


def read_members(cache: ArtifactCache, lock: Lock, folder: str) -> Files:
    """The files of an output by the listing that DVC keeps of it."""
    out = lock.outs.get(folder)
    if out is None or out.md5 is None or not out.is_folder:
        return Files(folder=folder, members=None)
    path = cache.find(out.md5)
    if path is None:
        return Files(folder=folder, members=None)
    try:
        members = {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(path.read_bytes())}
    except (ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            f"the listing {out.md5} of {folder} is none of DVC's: {error}",
            fix="delete it from the cache, and run `dvc repro`.",
        ) from error
    return Files(folder=folder, members=members)


def compare_data(stage: Stage, repository: Repository, cache: ArtifactCache, *, base: str | None) -> DataDifference:
    """Compare by hashes, and read what differs. Whatever cannot be had is left out, and `reason` says so.

    Features are compared as: all rows of the base, against the rows of batches that are new or changed here.

    Args:
        stage: the surroundings.
        repository: holds the base commit.
        cache: gives files by their hash; what only a remote has is fetched, file by file.
        base: the commit to compare with.

    Raises:
        UsageError: `base` names no commit.
        PipelineError: this tree has no dvc.lock, or the cache is damaged.
    """
    unit = stage.project.features.entity.unit[0]
    if base is None:
        return DataDifference.nothing(None, unit, _NO_BASE)
    commit = repository.commit(base)
    here, before = locks_of(stage, repository, commit)
    if before is None:
        return DataDifference.nothing(commit, unit, f"the base has no {LOCK} that can be read")
    if all(_same(here, before, folder) for folder in (VALIDATED, FEATURES)):
        return DataDifference.nothing(commit, unit, None)
    tables = [read_members(cache, lock, VALIDATED) for lock in (before, here)]
    features = [read_members(cache, lock, FEATURES) for lock in (before, here)]
    missing = [files.folder for files in (*tables, *features) if files.members is None]
    reader = _Reader(stage, cache)
    batches = () if VALIDATED in missing else _batches(reader, tables[0], tables[1])
    difference = DataDifference.nothing(commit, unit, None).model_copy(update={"batches": batches})
    if FEATURES not in missing:
        difference = _features(stage, reader, features[0], features[1], difference)
    absent = [f"the listing of {folder}" for folder in dict.fromkeys(missing)] + sorted(reader.absent)
    if absent:
        shown = ", ".join(absent[:4]) + (f" and {len(absent) - 4} more" if len(absent) > 4 else "")
        reason = f"not compared, since neither the cache nor a remote has it: {shown}"
        difference = difference.model_copy(update={"reason": reason})
    return difference


class _Reader:
    """Tables by their hash; remembers which were not to be had."""

    def __init__(self, stage: Stage, cache: ArtifactCache) -> None:
        self._workspace = stage.workspace
        self._cache = cache
        self.absent: set[str] = set()

    def read(self, files: Files, name: str, columns: list[str] | None = None) -> pl.DataFrame | None:
        path = f"{files.folder}/{name}"
        try:
            found = self._cache.find((files.members or {})[name])
            if found is not None:
                return self._workspace.read_table(str(found), columns)
        except GitrainError as error:
            path = f"{path} ({error.what})"
        self.absent.add(path)
        return None


def _same(here: Lock, before: Lock, folder: str) -> bool:
    ours, theirs = here.outs.get(folder), before.outs.get(folder)
    return ours is not None and theirs is not None and ours.md5 == theirs.md5


def _batches(reader: _Reader, before: Files, here: Files) -> tuple[BatchDifference, ...]:
    old, new = before.members or {}, here.members or {}
    found = []
    for name, status in changed_members(old, new).items():
        path = PurePosixPath(name)
        if path.suffix != ".parquet":
            continue
        now = reader.read(here, name) if name in new else None
        # A new batch is compared with the newest that the base has of the table.
        earlier = (
            name
            if name in old
            else max((each for each in old if PurePosixPath(each).parent == path.parent), default=None)
        )
        then = reader.read(before, earlier) if earlier is not None else None
        found.append(
            BatchDifference(
                table=path.parent.as_posix(),
                batch=None if path.stem == WHOLE else path.stem,
                status=status,
                rows=now.height if now is not None else None,
                rows_before=then.height if then is not None and name in old else None,
                null_shares=null_shares(now) if now is not None else {},
                null_shares_before=null_shares(then) if then is not None else {},
            )
        )
    return tuple(found)


def _features(stage: Stage, reader: _Reader, before: Files, here: Files, difference: DataDifference) -> DataDifference:
    old, new = before.members or {}, here.members or {}
    differing = [name for name, status in changed_members(old, new).items() if status != "removed"]
    names = [*stage.project.features.names]
    unit = stage.project.features.entity.unit[0]
    if not differing:
        return difference
    samples: list[pl.DataFrame] = []
    each = max(_SAMPLE // max(len(old), 1), 100)
    for name in sorted(old):
        frame = reader.read(before, name)
        if frame is not None:
            names = [column for column in names if column in frame.columns]
            samples.append(frame.gather_every(max(frame.height // each, 1)))
    if not samples:
        return difference
    sample = pl.concat([frame.select(names) for frame in samples], how="vertical_relaxed")
    categorical = set(stage.project.features.categorical)
    bins = [make_bins(sample[name], categorical=name in categorical) for name in names]
    counted = []
    rows = []
    units: list[set[str]] = []
    for files, wanted in ((before, sorted(old)), (here, differing)):
        counts = {name: _Counts() for name in names}
        seen = 0
        for file in wanted:
            frame = reader.read(files, file)
            if frame is None or unit not in frame.columns:
                continue
            seen += frame.height
            for one in bins:
                if one.name in frame.columns:
                    counts[one.name].add(one, frame[one.name], frame[unit])
        counted.append(counts)
        rows.append(seen)
        units.append(set().union(*(each.units for each in counts.values())))
    theirs, ours = counted
    found = [
        feature_difference(
            one, theirs[one.name].matrix, ours[one.name].matrix, means=(theirs[one.name].mean, ours[one.name].mean)
        )
        for one in bins
        if theirs[one.name].units and ours[one.name].units
    ]
    return difference.model_copy(
        update={
            "units": len(units[1]),
            "units_before": len(units[0]),
            "rows": rows[1],
            "rows_before": rows[0],
            "features": tuple(sorted(found, key=lambda one: (-one.psi, one.name))),
        }
    )
