"""The generated pages are current, complete, and notice what is undocumented."""

from pathlib import Path

import pytest
from pydantic import Field

from gitrain.cli.commands import COMMANDS
from gitrain.documents import Section
from gitrain.pipeline.params import Params
from gitrain.settings import RepositorySettings
from tools.reference import commands_page, configuration_page, keys_of, main


@pytest.mark.parametrize(("name", "page"), [("commands", commands_page), ("configuration", configuration_page)])
def test_the_page_is_current(root: Path, name: str, page: object) -> None:
    assert callable(page)
    assert (root / "docs" / f"{name}.md").read_text(encoding="utf-8") == page(), "run `python -m tools.reference`"


def test_every_command_and_argument_is_there() -> None:
    page = commands_page()
    for command in COMMANDS:
        _, _, section = page.partition(f"`gitrain {' '.join(command.words)}`\n")
        section, _, _ = section.partition("\n#")
        assert command.summary[1:] in section
        for argument in command.arguments:
            assert argument.options.get("help"), f"{command.words}: {argument.flags} has no help"
            assert argument.options["help"] in section


def test_every_key_has_words() -> None:
    keys = keys_of(Params) + keys_of(RepositorySettings)
    assert [key.name for key in keys if not key.meaning] == []
    names = [key.name for key in keys]
    assert {"schema_version", "data.from", "gates.thresholds.NAME.min", "gates.waivers[].expires", "project"} <= set(
        names
    )
    assert len(names) == len(set(names))


class Inner(Section):
    """A part.

    Attributes:
        share: of the rows,
            from 0 to 1.
    """

    share: float = Field(default=0.5, ge=0, le=1)
    forgotten: int


class Outer(Section):
    """A whole."""

    parts: dict[str, Inner]
    entries: list[Inner]
    flag: bool | None = None


def test_keys_are_read_from_the_models() -> None:
    keys = {key.name: key for key in keys_of(Outer)}
    assert list(keys) == ["parts.NAME.share", "parts.NAME.forgotten", "entries[].share", "entries[].forgotten", "flag"]
    assert keys["parts.NAME.share"] == ("parts.NAME.share", "number, ≥ 0, ≤ 1", "0.5", "of the rows, from 0 to 1.")
    assert keys["entries[].forgotten"] == ("entries[].forgotten", "integer", "(required)", "")
    assert keys["flag"].kind == "true or false or nothing"


def test_a_page_that_is_not_current_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    assert main(["--check"]) == 1
    assert "docs/commands.md is not current" in capsys.readouterr().out
    assert main([]) == 0
    assert main(["--check"]) == 0
