"""Writes docs/checks.md: every check, what it catches, and the seeded defects that tests have seen it find.

`--check` writes nothing and fails if the page is not current or a check has no seeded defect.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gitrain.checks.catalogue import CheckDefinition
from gitrain.operations.check_groups import GROUPS

__all__ = ["checks_page", "defects_of_tests", "without_defect"]

_PAGE = Path("docs/checks.md")
_NOTE = "<!-- Written by `python -m tools.check_table` from the checks and their tests. -->\n"
_TABLE = "SEEDED_DEFECTS"


def defects_of_tests(root: Path) -> dict[str, list[str]]:
    """The seeded defects that the tests declare, in one line each, by the name of the check that finds them."""
    found: dict[str, list[str]] = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        if f"\n{_TABLE}" not in path.read_text(encoding="utf-8"):
            continue
        module = importlib.import_module(".".join(path.relative_to(root).with_suffix("").parts))
        for each in getattr(module, _TABLE):
            found.setdefault(each.check, []).append(each.defect)
    return found


def checks_page(defects: Mapping[str, Sequence[str]]) -> str:
    """All groups with their checks, as Markdown."""
    parts = [
        f"# Checks\n\n{_NOTE}\n"
        "`gitrain check GROUP` runs one group, `gitrain check all` every one, and `gitrain check list` names them.\n"
        "Each check ends in a verdict: PASSED, FAILED, INCONCLUSIVE or ERROR, with its reason and its figures. A part\n"
        "in capitals stands for many names: `artifacts:PATH` is one check for every output.\n\n"
        "A check that has never failed proves nothing. The last column names the defects that the tests sow, each of\n"
        "which turns the check red, while the honest project passes.\n"
    ]
    for name, group in GROUPS.items():
        parts.append(
            f"## {name}\n\n| check | catches | seen to find |\n| --- | --- | --- |\n{_rows(group.definitions, defects)}"
        )
    return "\n".join(parts)


def without_defect(defects: Mapping[str, Sequence[str]]) -> list[str]:
    """The checks of which nobody has seen that they can fail."""
    return [each.name for group in GROUPS.values() for each in group.definitions if not defects.get(each.name)]


def _rows(definitions: Sequence[CheckDefinition], defects: Mapping[str, Sequence[str]]) -> str:
    return "".join(
        f"| `{each.name}` | {_cell(each.catches)} | {_cell('; '.join(_once(defects.get(each.name, ()))))} |\n"
        for each in definitions
    )


def _once(texts: Sequence[str]) -> Iterator[str]:
    yield from dict.fromkeys(text.rstrip(".") for text in texts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main(arguments: Sequence[str]) -> int:
    defects = defects_of_tests(Path.cwd())
    page = checks_page(defects)
    problems = [f"no test has a seeded defect for the check {name}" for name in without_defect(defects)]
    if "--check" not in arguments:
        _PAGE.write_text(page, encoding="utf-8")
    elif not _PAGE.exists() or _PAGE.read_text(encoding="utf-8") != page:
        problems.append(f"{_PAGE} is not current: run `python -m tools.check_table`")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
