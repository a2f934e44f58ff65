"""The check of links in Markdown, on the real files and on ones that lead nowhere."""

from pathlib import Path

import pytest

from tools.links import headings_of, problems_of
from tools.tracked_files import tracked


def test_the_links_of_this_repository_lead_somewhere(root: Path) -> None:
    if not (root / ".git").exists():
        pytest.skip("not a git checkout")
    names = [name for name in tracked(root) if name.endswith(".md")]
    assert "README.md" in names
    assert [problem for name in names for problem in problems_of(root, name)] == []


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "gates.md").write_text("# Gates\n\n## The `champion` gate, explained\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "link",
    [
        "docs/gates.md",
        "docs",
        "#here",
        "docs/gates.md#the-champion-gate-explained",
        "https://example.com/x#y",
        "mailto:a@b.c",
    ],
)
def test_a_good_link_is_not_reported(pages: Path, link: str) -> None:
    (pages / "README.md").write_text(f"# Here\n\n[text]({link})\n", encoding="utf-8")
    assert problems_of(pages, "README.md") == []


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("docs/gate.md", "leads to nothing"),
        ("docs/gates.md#champion", "has no heading"),
        ("#there", "has no heading"),
        ("/docs/gates.md", "leads out of the repository"),
        ("../other/x.md", "leads out of the repository"),
    ],
)
def test_a_link_that_leads_nowhere_is_found(pages: Path, link: str, problem: str) -> None:
    (pages / "README.md").write_text(f"# Here\n\n| a |\n| --- |\n| ![text]({link}) |\n", encoding="utf-8")
    (found,) = problems_of(pages, "README.md")
    assert problem in found
    assert found.startswith("README.md:")


def test_links_in_code_are_text(pages: Path) -> None:
    (pages / "README.md").write_text("`[a](b.md)`\n\n```\n[a](b.md)\n```\n", encoding="utf-8")
    assert problems_of(pages, "README.md") == []


def test_equal_headings_are_numbered() -> None:
    assert headings_of("# Use\n\n## Use\n\n## What's new?\n") == {"use", "use-1", "whats-new"}
