"""CODEOWNERS, as GitHub reads it: who has to review a file."""

import re
from collections.abc import Callable, Sequence

__all__ = ["PLACES", "owners_of"]

#: Where the file may lie; the first that is there counts.
PLACES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")


def owners_of(text: str, path: str) -> tuple[str, ...]:
    """The owners of a path: ``@login`` or ``@organisation/team``, as they stand there.

    The last pattern that matches decides, also where it names nobody. Lines that GitHub passes over (``!``, ``[``, an
    escaped ``#``) are passed over here too. Owners by e-mail are left out: no review names an address.

    Args:
        text: of CODEOWNERS.
        path: relative to the repository's root.
    """
    found: Sequence[str] = ()
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if words and not re.search(r"^!|[\[\]\\]", words[0]) and _matcher(words[0])(path):
            found = words[1:]
    return tuple(owner for owner in found if owner.startswith("@") and len(owner) > 1)


def _matcher(pattern: str) -> Callable[[str], bool]:
    body = pattern.strip("/")
    # A slash at the start or in the middle ties a pattern to the root; one without matches at any depth.
    tied = "/" in pattern.rstrip("/")
    if not body:
        return lambda _: False
    parts = re.split(r"(\*\*/|/\*\*$|\*\*|\*|\?)", body)
    translated = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    expression = "".join(translated.get(part, re.escape(part)) for part in parts)
    if pattern.endswith("/"):
        below = "/.*"
    elif body.endswith("/*"):
        # `docs/*` owns the files of the folder, and not those of folders in it.
        below = ""
    else:
        below = "(?:/.*)?"
    whole = re.compile(f"{'' if tied else '(?:.*/)?'}{expression}{below}", re.DOTALL)
    return lambda path: whole.fullmatch(path) is not None
