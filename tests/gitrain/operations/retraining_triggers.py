"""Triggers of a retraining as forks of one warm process, which has imported once what all of them need.

``python -m tests.gitrain.operations.retraining_triggers ROOT ORIGIN FOLDER`` reads one JSON object a line: `count`
triggers that open a retraining at the same moment, in turn in each folder of `roots`, with `variables` of their own. It
answers each with one line: a list of what came of those that were not killed.
"""

import json
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


def at_once(given: list[str], *, count: int, roots: list[str], variables: dict[str, str]) -> list[str]:
    """What so many triggers come to."""
    root, origin, folder = map(Path, given)
    # As much later as the deliveries are old: records have an order.
    later = timedelta(seconds=time.time() - (folder / "failing").stat().st_mtime)
    world = World(root, origin, folder, now=NOW + later)
    (start, go), (said, saying) = os.pipe(), os.pipe()
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            os.close(go)
            os.environ.update(variables)
            os.read(start, 1)
            os.write(saying, f"{one(world, Path(roots[number % len(roots)]))}\n".encode())
            os._exit(0)
        children.append(child)
    for end in (start, go, saying):
        os.close(end)
    with open(said, encoding="utf-8") as stream:
        found = stream.read().splitlines()
    for child in children:
        os.waitpid(child, 0)
    return found


def main() -> None:
    given = sys.argv[1:]
    root, origin, folder = map(Path, given)
    _ = World(root, origin, folder).project
    for line in sys.stdin:
        print(json.dumps(at_once(given, **json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
