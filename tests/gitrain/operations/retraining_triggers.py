"""Triggers of a retraining as processes: run as a program, with what it needs imported once.

    retraining_triggers.py ROOT ORIGIN FOLDER COUNT [CLONE ...]

Forks COUNT processes that open a retraining at the same moment, in turn in ROOT and in each CLONE; prints what each
one came to, a line each.
"""

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

from tests.gitrain.retraining import NOW, World

from gitrain.errors import GitrainError
from gitrain.operations.open_retraining import open_retraining


def one(world: World, root: Path) -> str:
    """What a trigger comes to."""
    try:
        result = open_retraining(world.tools(root), progress=lambda _: None)
    except GitrainError as error:
        return f"ERROR {' '.join(error.what.split())}"
    if result.record is not None and result.record.ending is not None:
        return result.record.ending.value
    return result.plan.hindrance.value if result.plan.hindrance else result.plan.decision.value


def main() -> None:
    root, origin, folder, count, *clones = sys.argv[1:]
    # As much later as the deliveries are old: records have an order.
    later = timedelta(seconds=time.time() - Path(folder, "failing").stat().st_mtime)
    world = World(Path(root), Path(origin), Path(folder), now=NOW + later)
    roots = [Path(root), *map(Path, clones)]
    _ = world.project
    start, go = os.pipe()
    children = []
    for number in range(int(count)):
        child = os.fork()
        if child == 0:
            os.close(go)
            os.read(start, 1)
            os.write(1, f"{one(world, roots[number % len(roots)])}\n".encode())
            os._exit(0)
        children.append(child)
    os.close(go)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
