"""No tracked file names a path of one machine or a package index, and the search for them works."""

from pathlib import Path

import pytest

from tools.tracked_files import problems_of, tracked


def test_this_repository_holds_none(root: Path) -> None:
    if not (root / ".git").exists():
        pytest.skip("not a git checkout")
    names = tracked(root)
    assert "pyproject.toml" in names
    assert [problem for name in names for problem in problems_of(name, (root / name).read_bytes())] == []


@pytest.mark.parametrize(
    "line",
    [
        "cache: /home/ada/cache",
        # In parts: this file is looked at as well.
        "/".join(["open('", "root", "x')"]),
        "see /Users/ada/notes.md",
        "url: https://files.pythonhosted.org/packages/x.whl",
        "--extra-index-url https://example.com/simple",
        "<<<<<<< ours",
    ],
)
def test_each_kind_is_found(line: str) -> None:
    (problem,) = problems_of("notes.md", f"first line\n{line}\n".encode())
    assert problem.startswith("notes.md:2: ")


@pytest.mark.parametrize(
    "line",
    ["#!/usr/bin/env bash", "~/.cache/uv", "https://example.com/home/x", "a/home/b", "/tmp/x", "/path/to/it", "======"],
)
def test_what_looks_alike_is_not(line: str) -> None:
    assert problems_of("notes.md", line.encode()) == []


def test_binary_files_are_passed_over() -> None:
    assert problems_of("model.skops", b"\0 /home/ada/") == []


def test_only_files_in_the_index_are_looked_at(git_repository: Path) -> None:
    (git_repository / "untracked.txt").write_text("x", encoding="utf-8")
    assert tracked(git_repository) == ["README.md"]
