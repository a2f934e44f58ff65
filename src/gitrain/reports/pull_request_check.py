"""Whether a report may be posted: it comes from a job that ran a pull request's code, so nothing in it is believed.

The rules are narrower than Markdown on purpose: what a report of ours never holds is refused, wherever it stands.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from gitrain.documents import parse_json
from gitrain.errors import GitrainError
from gitrain.reports.mermaid import chart_problem
from gitrain.reports.pull_request_blocks import LIMIT
from gitrain.reports.pull_request_document import PullRequestReport
from gitrain.reports.pull_request_markdown import render_pull_request
from gitrain.verdicts import Outcome, Verdict

__all__ = ["LARGEST", "check_document", "check_markdown"]

#: A JSON report has at most this many bytes.
LARGEST = 20_000_000
_FENCE = "```"
_LANGUAGES = ("console", "mermaid")
# A zero-width space breaks mentions and references; the variation selector belongs to signs such as ⚠️.
_INVISIBLE = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200c-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
_TAG_LINE = re.compile(r"<details><summary>[\w ,.:–-]{1,80}</summary>|</details>")
_CODE = re.compile(r"<code>(?=\S)((?:[^<>\n]|\\[<>])*)</code>")
_ADDRESS = re.compile(r"(?i)(https?|ftp)://|www\.|(mailto|xmpp):")
_MENTION = re.compile(r"@(?!\u200b)")
_REFERENCE = re.compile(r"#\d|(?i:GH-)\d")

_Lines = Sequence[tuple[int, str]]


def check_markdown(text: str) -> list[Verdict]:
    """The verdicts on a report as Markdown; none of them waits for another.

    A text that passes has no image, no link, address, mention or reference to an issue, no HTML but folded parts and
    code, no fence but charts as `gitrain.reports.mermaid` writes them and console commands, and nothing invisible; and
    it is short enough for a comment.
    """
    found = _fences(text)
    return [
        _size(text),
        _verdict("report:visible", _invisible(text), "every character can be seen"),
        _verdict("report:fences", found[0], "each fence holds commands or a chart as ours are"),
        _verdict("report:html", list(_html(found[1])), "no HTML but folded parts and code"),
        _verdict("report:links", list(_links(found[1])), "no image, link, address, mention or reference"),
    ]


def check_document(text: str) -> tuple[list[Verdict], str | None]:
    """The verdicts on a report as JSON, and the Markdown that this installation makes of it.

    The Markdown is made here, of values alone: nothing that the pull request's own code wrote as Markdown is used.
    """
    if len(text.encode(errors="replace")) > LARGEST:
        return [_verdict("report:form", [f"it has more than {LARGEST:,} bytes"], "")], None
    try:
        markdown = render_pull_request(parse_json(PullRequestReport, text, source="the report"))
    except GitrainError as error:
        return [_verdict("report:form", [error.what], "")], None
    except (ArithmeticError, RecursionError, ValueError) as error:
        # Numbers that no report of ours holds, or values within values: not worth a traceback.
        return [_verdict("report:form", [f"it cannot be rendered: {error}"], "")], None
    return [_verdict("report:form", [], "it is a report in this version's format"), *check_markdown(markdown)], markdown


def _size(text: str) -> Verdict:
    figures = {"characters": len(text), "limit": LIMIT}
    if not text.strip():
        return Verdict(name="report:size", outcome=Outcome.FAILED, reason="it is empty", figures=figures)
    outcome = Outcome.PASSED if len(text) <= LIMIT else Outcome.FAILED
    reason = f"{len(text):,} characters, at most {LIMIT:,} are posted"
    return Verdict(name="report:size", outcome=outcome, reason=reason, figures=figures)


def _verdict(name: str, problems: Sequence[str], passed: str) -> Verdict:
    if not problems:
        return Verdict(name=name, outcome=Outcome.PASSED, reason=passed, figures={"problems": 0})
    more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
    return Verdict(
        name=name, outcome=Outcome.FAILED, reason=f"{problems[0]}{more}", figures={"problems": len(problems)}
    )


def _invisible(text: str) -> list[str]:
    return [
        f"line {number}: the character U+{ord(found[0]):04X} cannot be seen"
        for number, line in enumerate(text.split("\n"), 1)
        for found in [_INVISIBLE.search(line)]
        if found
    ]


def _fences(text: str) -> tuple[list[str], _Lines]:
    """What is wrong with the fences, and the numbered lines outside of them."""
    problems: list[str] = []
    outside: list[tuple[int, str]] = []
    inside: list[str] | None = None
    language, opened = "", 0
    # Only a line feed ends a line here, a carriage return does in Markdown too: it counts as invisible.
    for number, line in enumerate(text.split("\n"), 1):
        if inside is None:
            if line.startswith(_FENCE) and line[3:] in _LANGUAGES:
                inside, language, opened = [], line[3:], number
            else:
                outside.append((number, line))
                if _FENCE in line or "~~~" in line:
                    problems.append(f"line {number}: a fence that is none of ours")
        elif line == _FENCE:
            problem = chart_problem(inside) if language == "mermaid" else _console_problem(inside)
            if problem is not None:
                problems.append(f"line {opened}: {problem}")
            inside = None
        else:
            # A fence may end in other ways too, but neither commands nor charts have such lines.
            inside.append(line)
    if inside is not None:
        problems.append(f"line {opened}: a fence that nothing closes")
    return problems, outside


def _console_problem(lines: Sequence[str]) -> str | None:
    return None if all(line.startswith("$ ") for line in lines) else "a line is no command"


def _html(lines: _Lines) -> Iterator[str]:
    depth = 0
    for place, (number, line) in enumerate(lines):
        if _TAG_LINE.fullmatch(line):
            depth += -1 if line.startswith("</") else 1
            if depth < 0:
                yield f"line {number}: the end of a folded part that did not begin"
            # Up to an empty line, what follows is HTML as well, and a backslash escapes nothing there.
            following = lines[place + 1] if place + 1 < len(lines) else (number + 1, "")
            if following[0] != number + 1 or following[1].strip(" "):
                yield f"line {number}: no empty line follows"
            continue
        rest = _CODE.sub(lambda found: found[1], line)
        if _unescaped(rest, "<"):
            yield f"line {number}: HTML that is none of ours"
    if depth > 0:
        yield "a folded part does not end"


def _links(lines: _Lines) -> Iterator[str]:
    rules: tuple[tuple[Callable[[str], object], str], ...] = (
        (lambda line: _unescaped(line, "["), "a link, an image or a footnote"),
        (_ADDRESS.search, "an address"),
        (_MENTION.search, "a mention"),
        (_REFERENCE.search, "a reference to an issue"),
        (lambda line: _unescaped(line, "&"), "an entity, which may stand for anything"),
        (lambda line: _unescaped(line, "$"), "a formula"),
    )
    for number, line in lines:
        for broken, what in rules:
            if broken(line):
                yield f"line {number}: {what}"


def _unescaped(line: str, character: str) -> bool:
    """Whether the character stands somewhere without an odd number of backslashes right before it.

    In code a backslash escapes nothing, but there the character means nothing either.
    """
    for found in re.finditer(re.escape(character), line):
        before = line[: found.start()]
        if (len(before) - len(before.rstrip("\\"))) % 2 == 0:
            return True
    return False
