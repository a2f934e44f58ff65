import pytest

from gitrain.errors import ReleaseError
from gitrain.release.imports import imports_of

SOURCE = b"""
from __future__ import annotations
import os, numpy as np
import scipy.stats
from typing import TYPE_CHECKING
from . import beside
from .beside import thing
from gitrain.data import tables

if TYPE_CHECKING:
    import for_types
else:
    import not_for_types

try:
    import optional
except ImportError:
    import instead

try:
    import needed
except KeyError:
    pass

if os.name == "nt":
    import on_windows

class Model:
    import in_class

    def fit(self):
        import late
        async def inner():
            from later import x

with open("x") as f:
    import in_with

for _ in ():
    import in_loop

match os.name:
    case "nt":
        import in_match
"""


def test_imports_are_told_by_when_they_happen():
    found = imports_of(SOURCE, name="source.py")

    assert found.at_once == {
        "numpy", "scipy", "gitrain", "not_for_types", "instead", "needed", "on_windows", "in_class", "in_with",
        "in_loop", "in_match",
    }  # fmt: skip
    assert found.ever == found.at_once | {"optional", "late", "later"}


def test_a_bare_except_makes_an_import_optional():
    found = imports_of(b"try:\n    import maybe\nexcept:\n    pass\n", name="x.py")

    assert (set(found.at_once), set(found.ever)) == (set(), {"maybe"})


@pytest.mark.parametrize("source", [b"def (:\n", b"\x00", b"\xff\xfe\x00"])
def test_what_is_no_python_is_refused_by_its_name(source):
    with pytest.raises(ReleaseError, match=r"^src/a\.py is no Python"):
        imports_of(source, name="src/a.py")
