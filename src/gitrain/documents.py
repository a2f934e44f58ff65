"""Strict reading of the file formats: unknown keys and impossible values are errors that name file, key and value."""

import difflib
import json
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from gitrain.errors import SettingsError

__all__ = ["Document", "ExactSection", "Section", "parse", "parse_json", "parse_yaml"]


class Section(BaseModel):
    """A part of a file: immutable, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ExactSection(Section):
    """A part of a file in which nothing is read as something else.

    pydantic takes true for 1 and the text "3" for 3: a gate that is set to false would count as one of none.
    """

    @field_validator("*", mode="before")
    @classmethod
    def _of_its_kind(cls, value: object, found: ValidationInfo) -> object:
        kinds = _kinds_in(cls.model_fields[str(found.field_name)].annotation)
        if isinstance(value, str) and str not in kinds:
            raise ValueError("text is not expected here")
        if isinstance(value, bool) and bool not in kinds:
            raise ValueError("neither true nor false is expected here")
        if isinstance(value, (int, float)) and not isinstance(value, bool) and not kinds & {int, float}:
            raise ValueError("a number is not expected here")
        return value


class Document(Section):
    """A whole file.

    Attributes:
        schema_version: the generation of the file's format.
    """

    schema_version: Literal[1]


SectionT = TypeVar("SectionT", bound=Section)


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; a threshold written twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key_node.tag != "tag:yaml.org,2002:merge" and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def parse_yaml(model: type[SectionT], text: str, *, source: str) -> SectionT:
    """Read YAML text into `model`.

    Raises:
        SettingsError: not YAML, an unknown key (the nearest known one is named), or an impossible value.
    """
    try:
        payload = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506  (a SafeLoader)
    except yaml.YAMLError as error:
        raise SettingsError(f"{source} is not valid YAML: {_one_line(error)}", fix="correct the syntax.") from error
    return parse(model, payload, source=source)


def parse_json(model: type[SectionT], text: str, *, source: str) -> SectionT:
    """Read JSON text into `model`; errors as in `parse_yaml`."""
    try:
        payload = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"{source} is not valid JSON: {error}", fix="correct the syntax.") from error
    return parse(model, payload, source=source)


def parse(model: type[SectionT], payload: object, *, source: str) -> SectionT:
    """Validate `payload` as a `model`; `source` is the file's name in messages.

    Raises:
        SettingsError: naming the file, the key, the value and what to do.
    """
    if not isinstance(payload, Mapping):
        raise SettingsError(
            f"{source} holds {type(payload).__name__}, not a mapping of keys to values",
            fix=f"start it with the keys {_names(_keys(model))}.",
        )
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        raise _explain(error, model, source) from error


def _explain(error: ValidationError, model: type[BaseModel], source: str) -> SettingsError:
    # A misspelt key is also a missing one: the misspelling explains both.
    problems = sorted(error.errors(include_url=False), key=lambda problem: problem["type"] != "extra_forbidden")
    first = problems[0]
    location = first["loc"]
    dotted = ".".join(str(part) for part in location)
    others = len(problems) - 1
    rest = f" (and {others} more {'problem' if others == 1 else 'problems'})" if others else ""
    if first["type"] == "extra_forbidden":
        known = _keys(_model_at(model, location[:-1]))
        nearest = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        fix = f"did you mean {nearest[0]!r}? " if nearest else ""
        return SettingsError(f"{source}: unknown key {dotted!r}{rest}", fix=f"{fix}known keys here: {_names(known)}.")
    if first["type"] == "missing":
        return SettingsError(f"{source}: the key {dotted!r} is missing{rest}", fix=f"add {dotted!r} to {source}.")
    value = repr(first["input"])
    shown = value if len(value) <= 80 else value[:77] + "..."
    message = first["msg"].removeprefix("Value error, ")
    return SettingsError(f"{source}: {dotted!r} is {shown}: {message}{rest}", fix=f"correct {dotted!r} in {source}.")


def _kinds_in(annotation: Any) -> set[type]:
    """The kinds of single values that a field takes."""
    if isinstance(annotation, type):
        return {annotation} & {bool, float, int, str}
    if get_origin(annotation) is Literal:
        return {type(value) for value in get_args(annotation)}
    if get_origin(annotation) in (Union, UnionType):
        return {kind for part in get_args(annotation) for kind in _kinds_in(part)}
    return set()


def _model_at(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel]:
    """The model of the section at a location; list indices and mapping keys on the way are passed over."""
    current = model
    for part in location:
        by_key = {(field.alias or name): field for name, field in current.model_fields.items()}
        field = by_key.get(str(part))
        if field is None:
            continue
        found = _models_in(field.annotation)
        if found:
            current = found[0]
    return current


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _names(names: list[str]) -> str:
    return ", ".join(names)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
