"""Seeded defects: what each check has been seen to find. A test module declares its table as `SEEDED_DEFECTS`."""

from dataclasses import dataclass

__all__ = ["SeededDefect"]


@dataclass(frozen=True, kw_only=True)
class SeededDefect:
    """One defect that turns a check red.

    Attributes:
        check: the check's name, as its definition has it.
        defect: what is wrong, in one line.
    """

    check: str
    defect: str
