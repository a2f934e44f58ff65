"""What the README shows works: its code runs, its commands parse, its targets exist."""

import re
import shlex
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from flight_delay.project import PROJECT
from gitrain.cli.main import build_parser
from gitrain.data.batches import Months
from gitrain.errors import ProjectError
from gitrain.project import Project
from gitrain.serving.requests import RequestSchema

_DOCUMENTS = ("README.md", "CONTRIBUTING.md")


def blocks(text: str, info: str) -> list[str]:
    """The code blocks of a Markdown text whose opening line says `info`."""
    return [token.content for token in MarkdownIt().parse(text) if token.type == "fence" and token.info.strip() == info]


def shell_lines(root: Path) -> list[list[str]]:
    """The commands in the documents' shell blocks, comments left out."""
    return [
        words
        for name in _DOCUMENTS
        for block in blocks((root / name).read_text(encoding="utf-8"), "sh")
        for line in block.splitlines()
        if (words := shlex.split(line, comments=True))
    ]


def run_block(root: Path) -> tuple[str, dict[str, object]]:
    (source,) = blocks((root / "README.md").read_text(encoding="utf-8"), "python run")
    namespace: dict[str, object] = {"__name__": "returns.project"}
    exec(compile(source, "README.md", "exec"), namespace)  # noqa: S102  (the README's own code)
    return source, namespace


def test_the_project_object_is_one(root: Path) -> None:
    _, namespace = run_block(root)
    project = namespace["PROJECT"]
    assert isinstance(project, Project)
    assert project.name == "returns"
    assert project.features.names == ("price", "price_per_item", "hour")
    assert isinstance(project.batches, Months)


def test_a_leak_in_it_is_refused_as_the_readme_says(root: Path) -> None:
    source, _ = run_block(root)
    leaking = source.replace('expression=pl.col("price"))', 'expression=pl.col("returned"))', 1)
    assert leaking != source
    with pytest.raises(ProjectError, match="returned"):
        exec(compile(leaking, "README.md", "exec"), {"__name__": "returns.project"})  # noqa: S102


def test_the_request_to_the_service_is_one(root: Path) -> None:
    (line,) = [words for words in shell_lines(root) if words[0] == "curl"]
    entity = PROJECT.features.entity
    schema = RequestSchema.of(entity, PROJECT.table(entity.table).contract)
    rows = schema.parse(line[line.index("-d") + 1].encode())
    assert isinstance(rows, list), rows
    assert schema.rejected(schema.frame(rows)) == [()]


def test_the_commands_parse(root: Path) -> None:
    commands = [words[1:] for words in shell_lines(root) if words[0] == "gitrain"]
    assert commands
    for command in commands:
        assert build_parser().parse_args(command).runner.startswith("gitrain.cli.")


def test_the_targets_exist(root: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {words[1] for words in shell_lines(root) if words[0] == "make"}
    assert {"demo", "test", "check"} <= named <= targets


def test_each_target_is_in_the_help(root: Path) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    documented = set(re.findall(r"^([a-z]+):.*## \w", makefile, re.MULTILINE))
    assert set(phony[1].split()) == documented


def test_the_files_that_the_readme_names_are_there(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    for path in re.findall(r"`((?:src|tests)/[\w/]+)`", text):
        assert (root / path).exists(), path
