"""Writes docs/commands.md from the table of commands and docs/configuration.md from the models of the files.

`--check` writes nothing and fails if they are not current, or if a key has no words in its model's docstring.
"""

import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel

from gitrain.cli.commands import COMMANDS, GROUPS, Argument, Command
from gitrain.pipeline.params import Params
from gitrain.settings import RepositorySettings

__all__ = ["Key", "commands_page", "configuration_page", "keys_of"]

_NOTE = "<!-- Written by `python -m tools.reference`; change the source and run that. -->\n"


def commands_page() -> str:
    """All commands with their arguments, as Markdown."""
    parts = [
        f"# Commands\n\n{_NOTE}\n"
        "Data goes to stdout, progress and messages to stderr. Exit codes: 0 passed, 1 failed (a verdict), 2 usage or\n"
        "misconfiguration, 3 error, 4 inconclusive; only 0 promotes. `gitrain -C DIR ...` works in another folder's\n"
        "repository.\n"
    ]
    shown: set[str] = set()
    for command in COMMANDS:
        if len(command.words) > 1 and command.words[0] not in shown:
            shown.add(command.words[0])
            parts.append(f"## gitrain {command.words[0]}\n\n{_sentence(GROUPS[command.words[0]])}\n")
        parts.append(_command(command))
    return "\n".join(parts)


def _command(command: Command) -> str:
    level = "##" if len(command.words) == 1 else "###"
    text = f"{level} `gitrain {' '.join(command.words)}`\n\n{_sentence(command.summary)}\n"
    if not command.arguments:
        return text
    rows = "".join(f"| `{_usage(argument)}` | {argument.options.get('help', '')} |\n" for argument in command.arguments)
    return f"{text}\n| argument | meaning |\n| --- | --- |\n{rows}"


def _usage(argument: Argument) -> str:
    options = argument.options
    if options.get("action", "").startswith("store_"):
        return ", ".join(argument.flags)
    name = options.get("metavar") or argument.flags[-1].lstrip("-").upper()
    if not argument.flags[0].startswith("-"):
        return str(name)
    choices = options.get("choices")
    return f"{', '.join(argument.flags)} {'|'.join(choices) if choices else name}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


class Key(NamedTuple):
    """One key of a file: its dotted name, what it may be, its default, and what it means."""

    name: str
    kind: str
    default: str
    meaning: str


def configuration_page() -> str:
    """All keys of params.yaml and of [tool.gitrain], as Markdown."""
    return (
        f"# Configuration\n\n{_NOTE}\n"
        "Two files decide: `params.yaml` holds what an experiment or a gate may change, `pyproject.toml` where the\n"
        "project object is. Both are read strictly: an unknown key or an impossible value is an error that names the\n"
        "file, the key and the nearest known key. `NAME` stands for a name of yours, `[]` for an entry of a list.\n\n"
        f"## params.yaml\n\n{_table(keys_of(Params))}\n"
        f"## pyproject.toml, `[tool.gitrain]`\n\n{_table(keys_of(RepositorySettings))}"
    )


def _table(keys: Sequence[Key]) -> str:
    rows = "".join(f"| `{key.name}` | {key.kind} | {_code(key.default)} | {key.meaning} |\n" for key in keys)
    return f"| key | value | default | meaning |\n| --- | --- | --- | --- |\n{rows}"


def _code(default: str) -> str:
    return f"`{default}`" if default and not default.startswith("(") else default


def keys_of(model: type[BaseModel], prefix: str = "") -> list[Key]:
    """The keys of a model and of the models inside it, in their order."""
    return list(_keys(model, prefix))


def _keys(model: type[BaseModel], prefix: str) -> Iterator[Key]:
    schema = model.model_json_schema()
    meanings = _meanings(model)
    for name, field in model.model_fields.items():
        alias = field.alias or name
        dotted = f"{prefix}{alias}"
        inner = _models_in(field.annotation)
        outer = str(field.annotation)
        if inner:
            step = ".NAME." if outer.startswith("dict") else "[]." if outer.startswith("list") else "."
            yield from _keys(inner[0], f"{dotted}{step}")
            continue
        properties: Mapping[str, Any] = schema["properties"][alias]
        default = "(required)" if field.is_required() else _literal(field.get_default(call_default_factory=True))
        yield Key(dotted, _kind(properties), default, meanings.get(name, ""))


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """The lines under "Attributes:" in the docstrings of a model and its bases, by attribute."""
    meanings: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if not issubclass(kind, BaseModel) or "__doc__" not in vars(kind):
            continue
        _, _, block = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
        block = re.split(r"\n\S", block, maxsplit=1)[0]
        for entry in re.split(r"\n(?= {4}\w)", f"\n{block}"):
            name, separator, meaning = entry.strip().partition(": ")
            if separator:
                meanings[name] = " ".join(meaning.split()).replace("``", "`").replace("|", "\\|")
    return meanings


_BOUNDS = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))


def _kind(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kind = str(schema.get("format") or schema.get("type", "anything"))
    words = {"array": "list", "object": "mapping", "string": "text", "null": "nothing", "boolean": "true or false"}
    bounds = [f"{sign} {schema[key]}" for key, sign in _BOUNDS if key in schema]
    if schema.get("minLength", 0) > 1:
        bounds.append(f"{schema['minLength']} characters or more")
    return ", ".join([words.get(kind, kind), *bounds])


def _literal(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def main(arguments: Sequence[str]) -> int:
    pages = {"docs/commands.md": commands_page(), "docs/configuration.md": configuration_page()}
    problems = [
        f"{key.name} has no line under Attributes in its model's docstring"
        for key in keys_of(Params) + keys_of(RepositorySettings)
        if not key.meaning
    ]
    for name, text in pages.items():
        path = Path(name)
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            problems.append(f"{name} is not current: run `python -m tools.reference`")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
