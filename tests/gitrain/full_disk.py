"""Disks that are full: a real one, of some kilobytes, where this user may mount one; else a limit on the size of files.

Both end writes as a disk does that becomes full: with a part of what was to be written, and an error of the system.
"""

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

# The size of a page: what a file of tmpfs grows by.
_PAGE = 4096


class SmallDisk:
    """A tmpfs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Leave nothing but what the last pages of files have left."""
        ballast = self.folder / "ballast"
        with ballast.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
            while True:
                stream.write(b"\0" * _PAGE)
        try:
            yield
        finally:
            ballast.unlink()


class SmallFiles:
    """A stand-in, on all disks at once: no file may become larger than those of the folder, or so many bytes."""

    def __init__(self, folder: Path, most: int | None) -> None:
        self.folder = folder
        self.most = most

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """For this process and its children."""
        largest = max((path.stat().st_size for path in self.folder.rglob("*") if path.is_file()), default=0)
        most = largest + 64 if self.most is None else self.most
        former = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, former[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, former)


DISKS = ("tmpfs", "limit")


@contextlib.contextmanager
def small_disk(kind: str, folder: Path, *, kilobytes: int, most: int | None = None) -> Iterator[SmallDisk | SmallFiles]:
    """A disk at `folder`, which is made; skips the test where it cannot be.

    Args:
        kind: one of `DISKS`.
        folder: where.
        kilobytes: its size.
        most: what files may hold where a limit stands for it, in bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "limit":
        yield SmallFiles(folder, most)
        return
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk: the limit on files stands for it")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no disk can be mounted here ({done.stderr.strip()}): the limit on files stands for it")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
