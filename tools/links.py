"""Whether links in Markdown files lead somewhere: files and headings here; addresses elsewhere are not asked."""

import itertools
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tools.tracked_files import tracked

__all__ = ["headings_of", "problems_of"]


def problems_of(root: Path, name: str) -> list[str]:
    """The links in the Markdown file `name` (relative to `root`) that lead nowhere."""
    problems = []
    source = root / name
    for line, target in _links(source.read_text(encoding="utf-8")):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        found = (source.parent / path).resolve() if path else source.resolve()
        if path.startswith("/") or not found.is_relative_to(root.resolve()):
            problems.append(f"{name}:{line}: {target!r} leads out of the repository; write it relative to the file")
        elif not found.exists():
            problems.append(f"{name}:{line}: {target!r} leads to nothing")
        elif anchor and found.suffix == ".md" and anchor not in headings_of(found.read_text(encoding="utf-8")):
            problems.append(f"{name}:{line}: {target!r}: {found.name} has no heading of that name")
    return problems


def headings_of(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a Markdown text."""
    seen: Counter[str] = Counter()
    anchors = set()
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            words = "".join(child.content for child in inline.children or [] if child.type in {"text", "code_inline"})
            slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return anchors


def _links(text: str) -> Iterator[tuple[int, str]]:
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        line = token.map[0] + 1 if token.map else 0
        for child in token.children or []:
            target = _target(child)
            if target:
                yield line, target


def _target(token: Token) -> str:
    attribute = {"link_open": "href", "image": "src"}.get(token.type)
    return str(token.attrGet(attribute) or "") if attribute else ""


def main() -> int:
    root = Path.cwd()
    problems = [problem for name in tracked(root) if name.endswith(".md") for problem in problems_of(root, name)]
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
