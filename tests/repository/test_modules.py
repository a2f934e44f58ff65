"""What is true of every module: its length, its name, its `__all__`."""

import ast
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_MODULES = sorted(path.relative_to(_ROOT).as_posix() for path in (_ROOT / "src").rglob("*.py"))
_FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "core", "manager"}


def exported(tree: ast.Module) -> list[str] | None:
    """The names in `__all__`, or None if there is none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            return list(ast.literal_eval(node.value))
    return None


def public_names(tree: ast.Module) -> set[str]:
    """What a module defines at its top and does not hide behind an underscore; what it imports is not its own."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign) and "TypeVar(" not in ast.unparse(node.value):
            names |= {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def all_problems(source: str) -> list[str]:
    """What is wrong with the `__all__` of a module."""
    tree = ast.parse(source)
    names = exported(tree)
    public = public_names(tree)
    if names is None:
        return ["has no __all__"] if public else []
    problems = []
    # As ruff sorts it (RUF022): constants, then classes, then functions.
    if names != sorted(names, key=lambda name: (not name.isupper(), not name[:1].isupper(), name)):
        problems.append("__all__ is not sorted")
    imported = {
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    if public - set(names):
        problems.append(f"__all__ lacks {sorted(public - set(names))}")
    if set(names) - public_names(tree) - imported - {"__version__"}:
        problems.append(f"__all__ names what is not there: {sorted(set(names) - public)}")
    return problems


@pytest.mark.parametrize("module", _MODULES)
def test_the_module_keeps_the_rules(module: str) -> None:
    source = (_ROOT / module).read_text(encoding="utf-8")
    assert source.count("\n") <= 400, "a module past 400 lines is two modules"
    assert not set(Path(module).with_suffix("").parts) & _FORBIDDEN_NAMES
    assert all_problems(source) == []


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("def run(): ...", "has no __all__"),
        ("__all__ = ['walk', 'run']\ndef run(): ...\ndef walk(): ...", "not sorted"),
        ("__all__ = ['run']\ndef run(): ...\nLIMIT = 3", "lacks ['LIMIT']"),
        ("__all__ = ['gone', 'run']\ndef run(): ...", "what is not there: ['gone']"),
    ],
)
def test_a_wrong_all_is_found(source: str, problem: str) -> None:
    assert any(problem in found for found in all_problems(source))


def test_a_right_all_is_not_reported() -> None:
    source = "from json import loads\n__all__ = ['LIMIT', 'Run', 'loads', 'run']\nLIMIT = 1\nclass Run: ...\n"
    assert all_problems(source + "def run(): ...\n_hidden = 2\nRunT = TypeVar('RunT')\n") == []


def test_every_package_says_what_it_is_for() -> None:
    packages = [path for path in (_ROOT / "src").rglob("*") if path.is_dir() and list(path.glob("*.py"))]
    silent = [
        path.as_posix()
        for path in packages
        if not (path / "__init__.py").exists()
        or not ast.get_docstring(ast.parse((path / "__init__.py").read_text(encoding="utf-8")))
    ]
    assert silent == []
