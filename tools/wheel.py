"""The wheel is what users get, so the wheel is tested: built, looked into, installed into a fresh environment, tried.

The environment has the wheel, what it requires and the extra `testing`, at the locked versions; neither DVC nor MLflow,
no repository and no `src`. The tests of the layers that need no integration run there.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

__all__ = ["build", "foreign_files", "missing_files"]

# The layers that import nothing but the required dependencies; tests below tests/gitrain/ mirror the source.
_DOMAIN = ("data", "evaluation", "features", "gates", "pipeline", "reports", "training", "test_*.py")
# ... but for the service, which is made with BentoML.
_WITH_EXTRAS = {"test_service.py"}


def build(root: Path, folder: Path) -> Path:
    """Build the wheel of the repository at `root` into `folder`, with the installed backend and no network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def foreign_files(wheel: Path) -> list[str]:
    """What is in the wheel and neither of the package nor the wheel's own description."""
    inside = zipfile.ZipFile(wheel).namelist()
    return [
        name for name in inside if not name.startswith("gitrain/") and not name.partition("/")[0].endswith(".dist-info")
    ]


def missing_files(wheel: Path, root: Path) -> list[str]:
    """The modules and data files of the package that the wheel lacks."""
    source = root / "src"
    inside = set(zipfile.ZipFile(wheel).namelist())
    files = (path for path in (source / "gitrain").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(name for path in files if (name := path.relative_to(source).as_posix()) not in inside)


def _try_out(wheel: Path, root: Path, folder: Path) -> int:
    uv = [str(Path(sys.executable).parent / "uv")]
    python = folder / "venv" / "bin" / "python"
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv")], check=True)
    # No address but the user's own, no version but the locked ones.
    install = ["pip", "install", "--quiet", "--python", str(python), "--constraints", "requirements.lock"]
    # The tests of the reports read with these what was written; the package may not import them.
    readers = ["markdown-it-py", "prometheus-client"]
    subprocess.run([*uv, *install, f"gitrain[testing] @ {wheel.as_uri()}", *readers], cwd=root, check=True)

    # The tests' settings and the pages whose examples they run go with them, and src does not.
    place = folder / "elsewhere"
    place.mkdir()
    shutil.copy(root / "pyproject.toml", place)
    shutil.copytree(root / "docs", place / "docs")
    (place / "tests" / "gitrain").mkdir(parents=True)
    shutil.copy(root / "tests" / "conftest.py", place / "tests")
    for pattern in _DOMAIN:
        for found in (root / "tests" / "gitrain").glob(pattern):
            if found.name in _WITH_EXTRAS:
                continue
            copy = shutil.copytree if found.is_dir() else shutil.copy
            copy(found, place / "tests" / "gitrain" / found.name)
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    environment["HYPOTHESIS_PROFILE"] = "quick"  # `make test` looks for what is wrong with the laws
    here = "import gitrain, pathlib; print(pathlib.Path(gitrain.__file__).parent)"
    origin = subprocess.run(
        [str(python), "-c", here], cwd=place, env=environment, check=True, capture_output=True, text=True
    )
    if not Path(origin.stdout.strip()).is_relative_to(folder):
        print(f"gitrain was imported from {origin.stdout.strip()}, not from the wheel")
        return 1
    subprocess.run(
        [str(python.parent / "gitrain"), "--help"], cwd=place, env=environment, check=True, stdout=subprocess.DEVNULL
    )
    command = [str(python), "-m", "pytest", "-q", "-x", "-m", "not slow and not repository", "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=place, env=environment, check=False).returncode


def main() -> int:
    root = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="gitrain-wheel-") as folder:
        wheel = build(root, Path(folder))
        problems = [f"the wheel holds {name}, which is not gitrain's" for name in foreign_files(wheel)]
        problems += [f"the wheel lacks {name}" for name in missing_files(wheel, root)]
        if problems:
            print("\n".join(problems))
            return 1
        return _try_out(wheel, root, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
