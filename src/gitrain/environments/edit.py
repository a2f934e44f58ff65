"""Edits of an environment's file: the values of a few keys, and not one byte beside them."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from gitrain.environments.document import Environment, environment_path, parse_environment
from gitrain.errors import SettingsError

__all__ = ["Value", "has_values", "with_values"]

#: What an edit may set: ``release``, ``digest`` and ``suspend`` take no more.
Value = str | bool


def with_values(text: str, name: str, values: Mapping[str, Value]) -> str:
    """The file of the environment `name` with other values of top-level keys; all else stays byte for byte.

    The places of the values are taken from the parsed file, and the result is read again: an edit that would change
    anything else (a value that an anchor shares, say) is refused. A key that is not there is added at the end.

    Raises:
        SettingsError: the file cannot be read, or is written in a way that cannot be edited safely.
    """
    before = _payload(text, name)
    edited = text
    # From the end: what stands before it keeps its place.
    for key, (start, end) in sorted(_places(text).items(), key=lambda entry: -entry[1][0]):
        if key in values:
            gap = "" if start == 0 or edited[start - 1] in " \t" else " "
            edited = f"{edited[:start]}{gap}{_scalar(values[key], edited[start:end])}{edited[end:]}"
    missing = [key for key in values if key not in before]
    if missing:
        edited = edited if not edited or edited.endswith("\n") else f"{edited}\n"
        edited += "".join(f"{key}: {_scalar(values[key], '')}\n" for key in missing)
    if _payload(edited, name, edited=True) != before | dict(values):
        raise _unsafe(name)
    parse_environment(edited, name)
    return edited


def has_values(text: str, name: str, values: Mapping[str, Value]) -> bool:
    """Whether a file says this of an environment; one that cannot be read says nothing."""
    try:
        environment: Environment = parse_environment(text, name)
    except SettingsError:
        return False
    return all(getattr(environment, key) == value for key, value in values.items())


def _payload(text: str, name: str, *, edited: bool = False) -> dict[str, Any]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        if edited:
            raise _unsafe(name) from error
        said = " ".join(str(error).split())
        raise SettingsError(f"{environment_path(name)} is not valid YAML: {said}", fix="correct it.") from error
    if not isinstance(content, dict):
        if edited:
            raise _unsafe(name)
        raise SettingsError(f"{environment_path(name)} holds no keys and values", fix="correct it.")
    return content


def _places(text: str) -> dict[str, tuple[int, int]]:
    """Where the values of the top-level keys stand: the first character and the one after the last."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    return {
        key.value: (value.start_mark.index, value.end_mark.index)
        for key, value in pairs
        if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)
    }


def _scalar(value: Value, old: str) -> str:
    """A value as YAML has it, in the quotes that stood there."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if old.startswith('"'):
        return json.dumps(value)
    return f"'{value}'" if old.startswith("'") and "'" not in value else value


def _unsafe(name: str) -> SettingsError:
    return SettingsError(
        f"{environment_path(name)} is written in a way that cannot be edited without changing something else",
        fix="write release, digest and suspend as plain keys at the top level, without anchors.",
    )
