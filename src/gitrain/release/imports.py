"""What a Python source imports, without running it."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from gitrain.errors import ReleaseError

__all__ = ["Imports", "imports_of"]

_OPTIONAL = {"ImportError", "ModuleNotFoundError", "Exception"}


@dataclass(frozen=True, kw_only=True)
class Imports:
    """The top-level names of modules that a source imports; those of the standard library and its own are left out.

    Attributes:
        at_once: when it is imported itself: without them it cannot be.
        ever: in any of its functions, too.
    """

    at_once: frozenset[str]
    ever: frozenset[str]


def imports_of(source: bytes, *, name: str) -> Imports:
    """What a source imports. What is for type checkers only, or guarded by ``except ImportError``, is not ``at_once``.

    Raises:
        ReleaseError: it is no Python.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise ReleaseError(f"{name} is no Python that this interpreter reads: {error}", fix=f"mend {name}.") from error
    found = list(_walk(tree.body, at_once=True))
    return Imports(
        at_once=frozenset(module for module, at_once in found if at_once),
        ever=frozenset(module for module, _ in found),
    )


def _walk(body: list[ast.stmt], *, at_once: bool) -> Iterator[tuple[str, bool]]:
    for node in body:
        if isinstance(node, ast.Import):
            yield from ((module, at_once) for alias in node.names if (module := _outside(alias.name)))
        elif isinstance(node, ast.ImportFrom):
            module = _outside(node.module or "") if node.level == 0 else None
            if module:
                yield module, at_once
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _walk(node.body, at_once=False)
        elif isinstance(node, ast.If) and _names(node.test) & {"TYPE_CHECKING"}:
            yield from _walk(node.orelse, at_once=at_once)
        elif isinstance(node, ast.Try):
            caught = set().union(*(_names(handler.type) for handler in node.handlers))
            yield from _walk(node.body, at_once=at_once and not caught & _OPTIONAL)
            for part in (*(handler.body for handler in node.handlers), node.orelse, node.finalbody):
                yield from _walk(part, at_once=at_once)
        else:
            # With, for, while, class, match: their bodies run when the module is imported.
            for inner in (getattr(node, "body", []), getattr(node, "orelse", [])):
                yield from _walk(inner, at_once=at_once)
            for case in getattr(node, "cases", ()):
                yield from _walk(case.body, at_once=at_once)


def _names(node: ast.expr | None) -> set[str]:
    if node is None:
        # A bare except catches everything.
        return {"Exception"}
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} | {
        each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)
    }


def _outside(module: str) -> str | None:
    top = module.partition(".")[0]
    return None if not top or top in sys.stdlib_module_names else top
