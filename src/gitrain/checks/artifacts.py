"""What an output of the pipeline has to be like, and the rules that judge tables, curves and documents."""

import csv
import io
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

import polars as pl

from gitrain.checks.catalogue import CheckDefinition
from gitrain.data.contracts import TableContract
from gitrain.documents import Document
from gitrain.errors import ProjectError
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = [
    "ARTIFACTS",
    "CHECKS",
    "Artifact",
    "Examined",
    "csv_problems",
    "finite_problems",
    "flat_numbers_problems",
    "judge_artifact",
    "row_count_problems",
    "schema_problems",
]

ARTIFACTS = "artifacts:PATH"
CHECKS = (
    CheckDefinition(
        name=ARTIFACTS,
        group="artifacts",
        catches="an output that nobody declared, or that is missing, damaged, too large, of another shape than its "
        "contract says, holds NaN or infinity, or cannot be read by the next stage",
    ),
)

_MEGABYTE = 2**20
_SHOWN = 4


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """The contract of an output that a project's own stage writes; Gitrain knows those of its own stages.

    Given for an output of Gitrain's own stages, its `max_bytes` takes the place of the usual bound, and nothing else is
    looked at.

    Attributes:
        path: of the output in dvc.yaml: a file, or a folder whose files are all of this kind.
        kind: how its files are read.
        contract: of a table (parquet); the rules about batches, times and row counts are left out.
        document: of a JSON file, the strict model that it has to fit.
        columns: of a CSV file, the columns that it has to have.
        rows: the smallest and the largest number of rows, of each table or CSV file.
        max_bytes: of all its files together.
        may_be_missing: columns of a CSV file that may have empty cells.

    Raises:
        ProjectError: the parts do not fit together.
    """

    path: str
    kind: Literal["parquet", "csv", "json", "text", "file"]
    contract: TableContract | None = None
    document: type[Document] | None = None
    columns: tuple[str, ...] = ()
    rows: tuple[int, int | None] = (1, None)
    max_bytes: int = 100 * _MEGABYTE
    may_be_missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        path = PurePosixPath(self.path)
        if path.is_absolute() or ".." in path.parts or str(path) != self.path:
            raise ProjectError(
                f"the artifact {self.path!r} is no path inside of the repository",
                fix="write it as dvc.yaml does, for example reports/summary.json.",
            )
        for part, given, kind in (
            ("contract", self.contract is not None, "parquet"),
            ("document", self.document is not None, "json"),
            ("columns", bool(self.columns), "csv"),
        ):
            if given and self.kind != kind:
                raise ProjectError(
                    f"the artifact {self.path!r} is of the kind {self.kind!r} and has {part}",
                    fix=f"take {part} out, or let the kind be {kind!r}.",
                )
        low, high = self.rows
        if low < 0 or (high is not None and high < low) or self.max_bytes < 1:
            raise ProjectError(
                f"the artifact {self.path!r} allows {self.rows} rows and {self.max_bytes} bytes",
                fix="give the smaller number of rows first, and at least one byte.",
            )


@dataclass
class Examined:
    """What was found in an output.

    Attributes:
        problems: sentences; empty if it is as it has to be.
        figures: counts.
    """

    problems: list[str] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)


def judge_artifact(path: str, examined: Examined, *, stage: str) -> Verdict:
    """The verdict on one output of a stage."""
    name = f"{ARTIFACTS.partition(':')[0]}:{path}"
    if examined.problems:
        rest = f" and {len(examined.problems) - _SHOWN} more" if len(examined.problems) > _SHOWN else ""
        return Verdict(
            name=name,
            outcome=Outcome.FAILED,
            reason=f"{'; '.join(examined.problems[:_SHOWN])}{rest} (stage {stage!r})",
            figures={**examined.figures, "problems": len(examined.problems)},
        )
    counts = ", ".join(f"{value:,} {key}" for key, value in examined.figures.items() if isinstance(value, int))
    return Verdict(
        name=name, outcome=Outcome.PASSED, reason=f"as its contract says: {counts}", figures=examined.figures
    )


def schema_problems(path: str, frame: pl.DataFrame, expected: Mapping[str, pl.DataType | None]) -> list[str]:
    """Columns that are missing, of another type, or that nobody expects; the type None is any."""
    problems = [f"{path} has no column {name!r}" for name in expected if name not in frame.columns]
    problems += [
        f"the column {name!r} of {path} is {frame.schema[name]}, and {dtype} is expected"
        for name, dtype in expected.items()
        if name in frame.columns and dtype is not None and frame.schema[name] != dtype
    ]
    return problems + [
        f"{path} has the column {name!r}, which nobody expects" for name in frame.columns if name not in expected
    ]


def finite_problems(path: str, frame: pl.DataFrame, *, besides: Collection[str] = ()) -> list[str]:
    """Float columns that hold NaN or infinity; null is a missing value and none of these."""
    floats = [name for name, dtype in frame.schema.items() if dtype.is_float() and name not in besides]
    if not floats:
        return []
    counts = frame.select((~pl.col(name).is_finite()).sum() for name in floats).row(0, named=True)
    return [
        f"the column {name!r} of {path} has {count:,} values that are NaN or infinite"
        for name, count in counts.items()
        if count
    ]


def row_count_problems(path: str, rows: int, bounds: tuple[int, int | None]) -> list[str]:
    """A number of rows outside of its bounds."""
    low, high = bounds
    if low <= rows and (high is None or rows <= high):
        return []
    wanted = f"{low:,} or more" if high is None else f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return [f"{path} has {rows:,} rows, and {wanted} are expected"]


def csv_problems(
    path: str,
    text: str,
    columns: Sequence[str],
    *,
    may_be_missing: Collection[str] = (),
    rows: tuple[int, int | None] = (1, None),
) -> list[str]:
    """A CSV file of numbers: its columns are there, and every cell of them is a finite number.

    Args:
        path: for messages.
        text: the file's content.
        columns: those that have to be there; if empty, all that are there are judged.
        may_be_missing: columns whose cells may be empty.
        rows: the smallest and the largest number of lines below the header.
    """
    lines = list(csv.reader(io.StringIO(text)))
    header = lines[0] if lines else []
    missing = [f"{path} has no column {name!r}" for name in columns if name not in header]
    if missing or not header:
        return missing or [f"{path} is empty"]
    problems = row_count_problems(path, len(lines) - 1, rows)
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(header):
            return [*problems, f"line {number} of {path} has {len(line)} cells and the header {len(header)}"]
        for name, cell in zip(header, line, strict=True):
            empty_is_fine = name in may_be_missing and cell == ""
            if (not columns or name in columns) and not empty_is_fine and not _is_finite(cell):
                return [
                    *problems,
                    f"line {number} of {path} has {cell[:40]!r} under {name!r}, which is no finite number",
                ]
    return problems


def flat_numbers_problems(path: str, text: str) -> list[str]:
    """A JSON file of names and finite numbers, as `dvc metrics` takes it."""
    try:
        content = json.loads(text)
    except ValueError as error:
        return [f"{path} is no JSON: {error}"]
    if not isinstance(content, dict) or not content:
        return [f"{path} holds no names with numbers"]
    return [
        f"{path} has {str(value)[:40]!r} under {name!r}, which is no finite number"
        for name, value in content.items()
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)
    ]


def _is_finite(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
