"""What checks there are: each has a name, a group and one line on what it catches."""

from dataclasses import dataclass

__all__ = ["CheckDefinition"]


@dataclass(frozen=True, kw_only=True)
class CheckDefinition:
    """One check.

    Attributes:
        name: as its verdict has it, ``group:name``; a part in capitals, as in ``artifacts:PATH``, stands for many.
        group: what `gitrain check GROUP` runs it.
        catches: one line on the defect that it finds.
    """

    name: str
    group: str
    catches: str
