"""Data on stdout, progress on stderr."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

__all__ = ["print_bytes", "print_json", "print_text", "progress_to_stderr"]


def print_bytes(content: bytes) -> None:
    """Print a file on stdout as it is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def print_json(payload: Any) -> None:
    """Print a result as JSON on stdout."""
    print(json.dumps(payload, indent=2, ensure_ascii=False))


def print_text(text: str) -> None:
    """Print a result as text on stdout."""
    print(text.rstrip("\n"))


def progress_to_stderr(clock: Callable[[], float] = time.monotonic) -> Callable[[str], None]:
    """A progress function that prints each line with the seconds since it was made."""
    start = clock()

    def progress(line: str) -> None:
        print(f"[{clock() - start:6.1f} s] {line}", file=sys.stderr, flush=True)

    return progress
