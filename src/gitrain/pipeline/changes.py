"""What differs between a base commit and a tree: parameters, pinned dependencies, stages, data, files."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml
from pydantic import Field

from gitrain.data.validation_report import BatchValidation, ValidationReport
from gitrain.documents import Section
from gitrain.errors import SettingsError
from gitrain.pipeline.file_change import FileChange
from gitrain.pipeline.layout import LOCK, PARAMS, RAW, REQUIREMENTS
from gitrain.pipeline.lock import Lock, LockedStage

__all__ = [
    "RESULTS",
    "AreaChange",
    "BatchChange",
    "DataChanges",
    "StageChange",
    "ValueChange",
    "by_area",
    "changed_data",
    "changed_parameters",
    "changed_pins",
    "changed_stages",
    "changed_values",
    "flat_values",
]

_LONGEST = 200
# params.yaml of a pull request is hostile: aliases can make a few lines a billion leaves.
_MOST_LEAVES = 20_000
_DEEPEST = 40
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*==\s*(?P<version>[^\s;\\]+)")


class ValueChange(Section):
    """A value under a name; None where that side has no such name.

    Attributes:
        name: a dotted key, or a package.
        old: the value of the base as text.
        new: the value of this tree as text.
    """

    name: str
    old: str | None
    new: str | None


class StageChange(Section):
    """A stage of dvc.lock that was run on something else than at the base.

    Attributes:
        stage: its name.
        causes: what it reads from outside the pipeline and that differs: its command, parameters, files.
        upstream: outputs of other stages that it reads and that differ.
        outputs: what it writes and that differs.
    """

    stage: str
    causes: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


class BatchChange(Section):
    """A batch of a table whose counts differ; None on the side that does not have it.

    Attributes:
        table: the table's name.
        batch: the batch's name; None for a table without batches.
        rows: that were read, now.
        rows_before: that were read at the base.
        quarantined: of them, now.
        quarantined_before: of them, at the base.
    """

    table: str
    batch: str | None
    rows: int | None = Field(default=None, ge=0)
    rows_before: int | None = Field(default=None, ge=0)
    quarantined: int | None = Field(default=None, ge=0)
    quarantined_before: int | None = Field(default=None, ge=0)


class DataChanges(Section):
    """How the data differs.

    Attributes:
        rows: that validation read in all batches, now.
        rows_before: at the base; None if its report cannot be had.
        quarantined: of them, now.
        quarantined_before: of them, at the base.
        batches: those that are new, gone or have other counts; empty if the base's report cannot be had.
        content: whether the bytes of data/raw differ by dvc.lock; None if nobody knows.
    """

    rows: int = Field(ge=0)
    rows_before: int | None = Field(default=None, ge=0)
    quarantined: int = Field(ge=0)
    quarantined_before: int | None = Field(default=None, ge=0)
    batches: tuple[BatchChange, ...] = ()
    content: bool | None = None


class AreaChange(Section):
    """The files of one part of a repository that differ, those with the most lines first."""

    area: str
    files: tuple[FileChange, ...] = Field(min_length=1)

    @property
    def added(self) -> int:
        """Lines added in all of them."""
        return sum(file.added or 0 for file in self.files)

    @property
    def deleted(self) -> int:
        """Lines deleted in all of them."""
        return sum(file.deleted or 0 for file in self.files)


def changed_values(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[ValueChange, ...]:
    """The names under which two flat mappings hold other values, in the order of `after`, then what is gone."""
    names = [*after, *(name for name in before if name not in after)]
    return tuple(
        ValueChange(name=name, old=_side(before, name), new=_side(after, name))
        for name in names
        if _side(before, name) != _side(after, name)
    )


def changed_parameters(before: str, after: str) -> tuple[ValueChange, ...]:
    """The dotted keys of params.yaml whose values differ; files of another generation are read as well.

    Raises:
        SettingsError: one of the two is no YAML mapping, or too large to be parameters.
    """
    return changed_values(_parameters(before, f"{PARAMS} of the base"), _parameters(after, PARAMS))


def changed_pins(before: str, after: str) -> tuple[ValueChange, ...]:
    """The packages whose pinned versions differ between two texts of requirements.lock, by name."""
    changes = changed_values(_pins(before), _pins(after))
    return tuple(sorted(changes, key=lambda change: change.name))


def changed_stages(before: Lock, after: Lock) -> tuple[StageChange, ...]:
    """The stages that were run on something else or wrote something else, in the order of the tree's lock."""
    return tuple(
        change
        for name, stage in after.stages.items()
        for change in [_stage_change(name, before.stages.get(name), stage, after)]
        if change is not None
    )


def changed_data(
    before: ValidationReport | None, after: ValidationReport, *, locks: tuple[Lock | None, Lock | None]
) -> DataChanges:
    """How the data differs, by the two validation reports and the hashes of data/raw in the two locks."""
    raw = [lock.outs.get(RAW) if lock is not None else None for lock in locks]
    content = None if raw[0] is None or raw[1] is None else raw[0].md5 != raw[1].md5
    return DataChanges(
        rows=sum(batch.rows for batch in after.batches),
        rows_before=None if before is None else sum(batch.rows for batch in before.batches),
        quarantined=sum(batch.quarantined for batch in after.batches),
        quarantined_before=None if before is None else sum(batch.quarantined for batch in before.batches),
        batches=() if before is None else tuple(_batch_changes(before, after)),
        content=content,
    )


def by_area(files: Iterable[FileChange]) -> tuple[AreaChange, ...]:
    """Files by the part of the repository that they lie in, in the order that a reviewer should look at them."""
    areas: dict[str, list[FileChange]] = {}
    for file in files:
        areas.setdefault(_area(file.path), []).append(file)
    order = {area: float(place) for place, (area, _) in enumerate(_AREAS)}
    # Packages stand before the tests.
    packages = order[_TESTS] - 0.5
    return tuple(
        AreaChange(area=area, files=tuple(sorted(found, key=lambda file: (-_lines(file), file.path))))
        for area, found in sorted(areas.items(), key=lambda entry: (order.get(entry[0], packages), entry[0]))
    )


def flat_values(values: object, *, source: str = "the mapping") -> dict[str, Any]:
    """Nested mappings as one mapping with dotted names; lists stay values.

    Raises:
        SettingsError: more than 20,000 values, or nested more than 40 deep.
    """
    flat: dict[str, Any] = {}
    for name, value in _leaves(values, "", 0, source):
        flat[name] = value
        if len(flat) > _MOST_LEAVES:
            raise SettingsError(
                f"{source} holds more than {_MOST_LEAVES:,} values", fix="keep data out of it, and aliases."
            )
    return flat


def _leaves(value: object, path: str, depth: int, source: str) -> Iterator[tuple[str, object]]:
    if depth > _DEEPEST:
        raise SettingsError(f"{source} is nested more than {_DEEPEST} deep", fix="keep it flat.")
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key), depth + 1, source)
    elif path:
        yield path, value


def _parameters(text: str, source: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise SettingsError(f"{source} is not valid YAML: {' '.join(str(error).split())}", fix="correct it.") from error
    if not isinstance(content, Mapping):
        raise SettingsError(f"{source} holds {type(content).__name__}, not keys and values", fix="correct it.")
    return flat_values(content, source=source)


def _side(values: Mapping[str, Any], name: str) -> str | None:
    return _text(values[name]) if name in values else None


def _text(value: object) -> str:
    """The value as JSON has it, shortened; a list that aliases made huge is cut on the way."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, list | tuple):
        shown = [_text(entry) for entry in value[:20] if not isinstance(entry, list | tuple | Mapping)]
        more = ["…"] if len(shown) < len(value) else []
        text = f"[{', '.join(shown + more)}]"
    elif isinstance(value, Mapping):
        text = "{…}" if value else "{}"
    else:
        text = json.dumps(value, default=str)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _pins(text: str) -> dict[str, str]:
    pins: dict[str, list[str]] = {}
    for line in text.splitlines():
        found = _PIN.match(line)
        if found:
            pins.setdefault(re.sub(r"[-_.]+", "-", found["name"]).lower(), []).append(found["version"])
    # One package may be pinned for several platforms.
    return {name: ", ".join(sorted(set(versions))) for name, versions in pins.items()}


def _stage_change(name: str, before: LockedStage | None, after: LockedStage, lock: Lock) -> StageChange | None:
    old = before or LockedStage(cmd="")
    causes = [] if before is None or old.cmd == after.cmd else ["command"]
    for file in dict.fromkeys([*after.params, *old.params]):
        sides = [flat_values(side.params.get(file, {}), source=LOCK) for side in (old, after)]
        causes.extend(change.name for change in changed_values(*sides))
    old_deps, new_deps = ({dep.path: dep.md5 for dep in side.deps} for side in (old, after))
    deps = [path for path in dict.fromkeys([*new_deps, *old_deps]) if old_deps.get(path) != new_deps.get(path)]
    old_outs, new_outs = ({out.path: out.md5 for out in side.outs} for side in (old, after))
    outputs = [path for path in dict.fromkeys([*new_outs, *old_outs]) if old_outs.get(path) != new_outs.get(path)]
    if before is None:
        causes, deps = ["new stage"], []
    change = StageChange(
        stage=name,
        causes=tuple([*causes, *(path for path in deps if path not in lock.outs)]),
        upstream=tuple(path for path in deps if path in lock.outs),
        outputs=tuple(outputs),
    )
    return change if change.causes or change.upstream or change.outputs else None


def _batch_changes(before: ValidationReport, after: ValidationReport) -> Iterator[BatchChange]:
    old, new = ({(batch.table, batch.batch): batch for batch in report.batches} for report in (before, after))
    for key in dict.fromkeys([*new, *old]):
        one, other = old.get(key), new.get(key)
        if _counts(one) != _counts(other):
            rows_before, quarantined_before = _counts(one)
            rows, quarantined = _counts(other)
            yield BatchChange(
                table=key[0],
                batch=key[1],
                rows=rows,
                rows_before=rows_before,
                quarantined=quarantined,
                quarantined_before=quarantined_before,
            )


def _counts(batch: BatchValidation | None) -> tuple[int | None, int | None]:
    return (None, None) if batch is None else (batch.rows, batch.quarantined)


def _lines(file: FileChange) -> int:
    return (file.added or 0) + (file.deleted or 0)


_WORKFLOWS = "workflows and rules"
_PIPELINE = "pipeline"
_DEPENDENCIES = "dependencies"
_ENVIRONMENTS = "environments and releases"
_TESTS = "tests"
#: The area of the files that stages write.
RESULTS = "written by the pipeline"
_OTHER = "other files"
# In the order of the report; what runs with rights and what decides comes first.
_AREAS: Sequence[tuple[str, tuple[str, ...]]] = (
    (_WORKFLOWS, (".github/", ".gitlab-ci.yml", ".ci/", "CODEOWNERS", "Makefile", ".pre-commit-config.yaml")),
    (_ENVIRONMENTS, ("environments/", "releases/")),
    (_PIPELINE, ("dvc.yaml", "params.yaml", ".dvc/", ".dvcignore")),
    (_DEPENDENCIES, (REQUIREMENTS, "pyproject.toml", "uv.lock", "setup.py", "setup.cfg", "requirements")),
    (_TESTS, ("tests/",)),
    ("documentation", ("docs/", "README", "CHANGELOG", "CONTRIBUTING", "SECURITY", "LICENSE")),
    (RESULTS, (LOCK, "reports/", "models/", "data/")),
    (_OTHER, ()),
)


def _area(path: str) -> str:
    for area, prefixes in _AREAS:
        if path.startswith(prefixes):
            return area
    parts = path.split("/")
    if parts[0] == "src" and len(parts) > 2:
        return f"src/{parts[1]}"
    return f"{parts[0]}/" if len(parts) > 1 and path.endswith(".py") else _OTHER
