"""Markdown from values. Whatever comes from data, parameters or a pull request is hostile and goes through `escape`."""

import re
from collections.abc import Iterable, Sequence

__all__ = ["escape", "format_figure", "readable", "table"]

_LONGEST = 120
# Underscores inside words and hyphens, pluses and dots inside lines mean nothing to Markdown: they stay readable.
_SPECIAL = re.compile(r"([\\`*\[\]<>#|~&$]|(?<!\w)_|_(?!\w)|^[-+=])")
_NUMBERED = re.compile(r"^(\d{1,9})([.)])(?=\s|$)")
# No boundary before them: `_www.` and `(www.` are links to a forge, and one space too many harms nobody.
_LINKED = re.compile(r"(?i)((?:https?|ftp|mailto|xmpp|www)(?=[:.])|GH-(?=\d))")
_HIDDEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f]+"
)


def readable(value: object, *, longest: int = _LONGEST) -> str:
    """`value` on one line, without characters that control or hide, at most `longest` characters; not escaped."""
    text = _HIDDEN.sub(" ", str(value)).strip()
    return text if len(text) <= longest else text[: longest - 1] + "…"


def escape(value: object, *, longest: int = _LONGEST) -> str:
    """`value` as text that Markdown shows as it is: no links, HTML, mentions, references, rows or control characters.

    Args:
        value: anything; its `str` is shown, shortened to `longest` characters.
        longest: at most this many characters before escaping.
    """
    text = readable(value, longest=longest)
    escaped = _NUMBERED.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", text))
    # A backslash does not stop mentions, nor links without any markup: a zero-width space does.
    escaped = escaped.replace("@", "@\u200b").replace("\\#", "\\#\u200b")
    return _LINKED.sub("\\1\u200b", escaped)


def format_figure(value: object) -> str:
    """A number with four significant digits and thousands separated, anything else escaped; None is a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return escape(value)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> str:
    """A table of cells that are Markdown already; the columns numbered in `right` are aligned to the right."""
    aligned = set(right)
    rule = ["---:" if column in aligned else "---" for column in range(len(header))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))
