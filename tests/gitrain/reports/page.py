"""A page as a parser sees it: its elements, its text, its outline."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

__all__ = ["Node", "elements", "outline", "parse_page"]

_VOID = {"br", "col", "hr", "meta"}
_CLOSED = {"circle", "line", "path", "rect"}
_BLOCKS = {
    "h1": "# ",
    "h2": "\n## ",
    "h3": "\n### ",
    "li": "* ",
    "p": "",
    "summary": "▸ ",
    "dt": "",
    "dd": "  ",
    "tr": "| ",
}
_UNSEEN = {"style", "svg"}


@dataclass
class Node:
    """An element, with its attributes and what it holds."""

    name: str
    attributes: dict[str, str | None]
    children: "list[Node | str]" = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text inside."""
        return "".join(child if isinstance(child, str) else child.text for child in self.children)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute stands twice: {tag} {names}"
        node = Node(tag, dict(attrs))
        self._open[-1].children.append(node)
        if tag not in _VOID:
            self._open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _CLOSED, f"<{tag}/> is not closed by that"
        self._open[-1].children.append(Node(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].name == tag, f"</{tag}> closes <{self._open[-1].name}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"a processing instruction: {data}")


def parse_page(html: str) -> Node:
    """The page; an AssertionError where elements are not closed in order or an attribute stands twice."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    assert [node.name for node in parser._open] == [""], f"not closed: {[node.name for node in parser._open]}"
    return parser.root


def elements(node: Node) -> Iterator[Node]:
    """All elements inside, in the order of the text."""
    for child in node.children:
        if isinstance(child, Node):
            yield child
            yield from elements(child)


def outline(html: str) -> str:
    """What is read, from top to bottom, without charts: a line a heading, paragraph, entry or row."""
    return "\n".join(_lines(parse_page(html))).strip() + "\n"


def _lines(node: Node) -> Iterator[str]:
    for child in node.children:
        if isinstance(child, str) or child.name in _UNSEEN:
            continue
        if child.name == "tr":
            cells = [cell.text.strip() for cell in child.children if isinstance(cell, Node)]
            yield "| " + " | ".join(cells) + " |"
        elif child.name in _BLOCKS and not any(inner.name in _BLOCKS for inner in elements(child)):
            text = " ".join(_shown(child).split())
            if text:
                yield _BLOCKS[child.name] + text
        else:
            yield from _lines(child)


def _shown(node: Node) -> str:
    return "".join(
        child if isinstance(child, str) else "" if child.name in _UNSEEN else _shown(child) for child in node.children
    )
