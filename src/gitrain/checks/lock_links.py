"""How the stages of a lock hang together: what a stage reads, another one wrote, `.dvc` files name, or Git keeps."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gitrain.pipeline.layout import LOCK
from gitrain.pipeline.lock import Lock, LockedFile, listing_md5
from gitrain.pipeline.stages import StageDefinition

__all__ = ["Links", "link_stages", "listed", "mending", "stale"]

_SHOWN = 4


@dataclass
class Links:
    """Where the inputs of stages come from: another stage, `.dvc` files, or the tree itself.

    Attributes:
        problems: sentences, by the stage that they are about.
        from_tree: by stage, the entries of dvc.lock whose content is in the tree, each with its path.
        linked: how many inputs are outputs of other stages.
        unknown: inputs that cannot be told from hashes alone, e.g. parts of a folder that is not in the cache.
    """

    problems: dict[str, list[str]] = field(default_factory=dict)
    from_tree: dict[str, list[tuple[LockedFile, str]]] = field(default_factory=dict)
    linked: int = 0
    unknown: list[str] = field(default_factory=list)


def link_stages(
    lock: Lock,
    definitions: Sequence[StageDefinition],
    tracked: Mapping[str, str | None],
    listing: Callable[[str], Mapping[str, str] | None],
) -> Links:
    """Follow the hashes from output to input.

    Args:
        lock: the lock.
        definitions: the stages of dvc.yaml.
        tracked: what DVC tracks besides: path to MD5.
        listing: gives the files of a folder by the MD5 of its listing, if it is at hand.
    """
    written: dict[str, str | None] = dict(tracked)
    for definition in definitions:
        entry = lock.stages.get(definition.name)
        hashes = {file.path: file.md5 for file in entry.outs} if entry else {}
        written |= {out.path: hashes.get(out.name) for out in definition.outs if out.path is not None}
    links = Links()
    for definition in definitions:
        for file in lock.stages[definition.name].deps if definition.name in lock.stages else ():
            path = definition.deps.get(file.path)
            if path is None or file.md5 is None:
                continue
            producer = next((out for out in written if _within(path, out)), None)
            if producer is None:
                if any(_within(out, path) for out in written):
                    links.unknown.append(path)
                else:
                    links.from_tree.setdefault(definition.name, []).append((file, path))
                continue
            links.linked += 1
            expected = _part(written[producer], producer, path, listing)
            if expected is None and producer != path and written[producer] is not None:
                links.unknown.append(path)
            elif expected != file.md5:
                links.problems.setdefault(definition.name, []).append(
                    f"stage {definition.name!r} read {path} as {file.md5}, and {LOCK} has it as {expected or 'nothing'}"
                )
    return links


def mending(names: Collection[str], definitions: Sequence[StageDefinition]) -> str:
    """The commands that bring stale stages up to date, for a message.

    Args:
        names: the stages that are not up to date.
        definitions: the stages of dvc.yaml.
    """
    last, files = stale(names, definitions)
    commands = (f"dvc repro {' '.join(last)}".strip(), f"git add {' '.join(files)}", "git commit")
    return "to mend it: " + ", ".join(f"`{command}`" for command in commands)


def stale(names: Collection[str], definitions: Sequence[StageDefinition]) -> tuple[list[str], list[str]]:
    """What to give `dvc repro` so that stale stages and their readers are up to date, and what then changes in Git.

    Args:
        names: the stages that are not up to date.
        definitions: the stages of dvc.yaml.
    """
    affected = {definition.name for definition in definitions if definition.name in names}
    readers = {definition.name: _readers(definition, definitions) for definition in definitions}
    waiting = list(affected)
    while waiting:
        new = readers[waiting.pop()] - affected
        affected |= new
        waiting += new
    last = [each.name for each in definitions if each.name in affected and not readers[each.name] & affected]
    files = [
        out.path
        for each in definitions
        if each.name in affected
        for out in each.outs
        if not out.cached and out.path is not None
    ]
    return last, [LOCK, *files]


def _readers(definition: StageDefinition, definitions: Iterable[StageDefinition]) -> set[str]:
    outs = [out.path for out in definition.outs if out.path is not None]
    return {
        other.name
        for other in definitions
        if other.name != definition.name
        and any(
            _within(path, out) or _within(out, path) for path in other.deps.values() if path is not None for out in outs
        )
    }


def listed(sentences: Sequence[str]) -> str:
    """The first few sentences, and how many more there are."""
    rest = f" and {len(sentences) - _SHOWN} more" if len(sentences) > _SHOWN else ""
    return "; ".join(sentences[:_SHOWN]) + rest


def _part(md5: str | None, folder: str, path: str, listing: Callable[[str], Mapping[str, str] | None]) -> str | None:
    """The MD5 of `path` inside an output, by the listing of the output; None if that cannot be told."""
    if path == folder or md5 is None:
        return md5
    members = listing(md5) if md5.endswith(".dir") else None
    if members is None:
        return None
    inner = path.removeprefix(f"{folder}/")
    if inner in members:
        return members[inner]
    below = {name.removeprefix(f"{inner}/"): each for name, each in members.items() if name.startswith(f"{inner}/")}
    return listing_md5(below)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
