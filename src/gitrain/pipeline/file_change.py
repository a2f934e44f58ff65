"""A file that differs between two commits: of Git alone, and so apart from what differs in data and parameters."""

from pydantic import Field

from gitrain.documents import Section

__all__ = ["FileChange"]


class FileChange(Section):
    """A file that differs.

    Attributes:
        path: relative to the repository's root, with slashes.
        added: lines; None for a file that is no text.
        deleted: lines, likewise.
        was: its path at the base if it was renamed.
    """

    path: str
    added: int | None = Field(ge=0)
    deleted: int | None = Field(ge=0)
    was: str | None = None
