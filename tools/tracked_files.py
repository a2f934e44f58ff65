"""What no file in Git may hold: paths of one machine, addresses of package indexes, conflict markers."""

import re
import subprocess
import sys
from pathlib import Path

__all__ = ["problems_of", "tracked"]

_PATTERNS = {
    "a path of one machine": re.compile(r"(?<![\w.:/}~-])/(?:home|root|Users|work|opt|mnt|media)/[\w.-]+"),
    "the address of a package index": re.compile(
        r"pypi\.org/simple|files\.pythonhosted\.org|registry\.npmjs\.org|registry\.yarnpkg\.com"
        r"|--(?:extra-)?index-url[ =]\S|--find-links[ =]\S"
    ),
    "a conflict marker": re.compile(r"^(?:<{7} |>{7} |={7}$)", re.MULTILINE),
}
# They write such things down to look for them.
_EXEMPT = ("tools/tracked_files.py", "tests/repository/test_lock.py", "tests/repository/test_tracked_files.py")


def problems_of(name: str, content: bytes) -> list[str]:
    """What is wrong with the content of the file `name`; nothing ever is with a binary one."""
    if b"\0" in content or name in _EXEMPT:
        return []
    text = content.decode("utf-8", errors="replace")
    return [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]!r} is {what}"
        for what, pattern in _PATTERNS.items()
        for match in pattern.finditer(text)
    ]


def tracked(root: Path) -> list[str]:
    """The files in Git's index that are there, relative to `root`, sorted."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True).stdout.decode()
    return sorted(name for name in set(listed.split("\0")) if name and (root / name).is_file())


def main() -> int:
    root = Path.cwd()
    problems = [problem for name in tracked(root) for problem in problems_of(name, (root / name).read_bytes())]
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
