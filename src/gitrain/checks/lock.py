"""`gitrain check lock`: dvc.lock belongs to this tree, and all that it names can be had. Pure rules, one a verdict."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from gitrain.checks.catalogue import CheckDefinition
from gitrain.checks.lock_links import Links, listed, mending
from gitrain.pipeline.layout import LOCK
from gitrain.pipeline.lock import Lock, LockedStage
from gitrain.pipeline.stages import StageDefinition
from gitrain.verdicts import Figure, Outcome, Verdict

__all__ = [
    "CHAIN",
    "CHECKS",
    "EXECUTION",
    "INPUTS",
    "OUTPUTS",
    "PARAMS_MATCH",
    "READABLE",
    "STAGES",
    "STORED",
    "judge_chain",
    "judge_inputs",
    "judge_outputs",
    "judge_params",
    "judge_stages",
    "refused_paths",
]

READABLE = "lock:readable"
STAGES = "lock:stages"
PARAMS_MATCH = "lock:params"
INPUTS = "lock:inputs"
CHAIN = "lock:chain"
OUTPUTS = "lock:outputs"
STORED = "lock:stored"
EXECUTION = "lock:execution"

CHECKS = tuple(
    CheckDefinition(name=name, group="lock", catches=catches)
    for name, catches in (
        (READABLE, "a dvc.lock that is missing, holds conflict markers, or names a path outside of the repository"),
        (STAGES, "a stage, command, dependency or output that dvc.yaml and dvc.lock do not share"),
        (PARAMS_MATCH, "a parameter that was changed without running the stages that read it"),
        (INPUTS, "code, or another file of the tree, that is not what the stages were run with"),
        (CHAIN, "hashes of two runs mixed in one lock, or a stage that wrote to its input"),
        (OUTPUTS, "a report or manifest that is missing, or is not the one that the stages wrote"),
        (STORED, "content that dvc.lock names and nobody has: neither the cache nor a remote"),
        (EXECUTION, "a forged entry: running a stage again gives something else than dvc.lock says"),
    )
)

_ELSEWHERE = re.compile(r"^([A-Za-z]:|/|\\|~)|://")


def refused_paths(lock: Lock, definitions: Iterable[StageDefinition]) -> list[str]:
    """The paths of a lock that are absolute, of another machine, or lead outside of the repository."""
    known: dict[str, str | None] = {}
    for definition in definitions:
        known |= {f"{definition.name}:{name}": path for name, path in definition.deps.items()}
        known |= {f"{definition.name}:{out.name}": out.path for out in definition.outs}
    found = []
    for name, stage in lock.stages.items():
        for file in (*stage.deps, *stage.outs):
            # A stage may have a working folder of its own: only its definition knows what its ".." means.
            inside = known.get(f"{name}:{file.path}", file.path if _stays_inside(file.path) else None)
            if inside is None or _ELSEWHERE.search(file.path):
                found.append(file.path)
    return sorted(set(found))


def judge_stages(lock: Lock, definitions: Sequence[StageDefinition]) -> Verdict:
    """Stages, commands, dependencies, outputs and names of parameters are those of dvc.yaml, and no others."""
    problems: dict[str, list[str]] = {}
    for definition in definitions:
        entry = lock.stages.get(definition.name)
        if entry is None:
            problems[definition.name] = [f"stage {definition.name!r} is not in {LOCK}: it was never run"]
            continue
        found = [f"stage {definition.name!r} was run as {_command(entry.cmd)!r}"] if entry.cmd != definition.cmd else []
        parts = (
            ("dependency", definition.deps, [file.path for file in entry.deps]),
            ("output", [out.name for out in definition.outs], [file.path for file in entry.outs]),
            ("parameters file", {each.file for each in definition.params}, entry.params),
        )
        for part, wanted, locked in parts:
            found += [f"stage {definition.name!r} has no {part} {name!r} in {LOCK}" for name in _but(wanted, locked)]
            found += [
                f"stage {definition.name!r} has the {part} {name!r} in {LOCK} alone" for name in _but(locked, wanted)
            ]
        declared = {(each.file, each.key) for each in definition.params}
        found += [
            f"stage {definition.name!r} has the parameter {key!r} in {LOCK} alone"
            for file, values in entry.params.items()
            for key in values
            if (file, key) not in declared
        ]
        found += _unhashed(definition.name, entry)
        if found:
            problems[definition.name] = found
    unknown = sorted(set(lock.stages) - {definition.name for definition in definitions})
    if unknown and not problems:
        return _failed(
            STAGES,
            f"{LOCK} has the stage {', '.join(unknown)}, which dvc.yaml does not have: take its entry out of {LOCK}, "
            f"then `git add {LOCK}` and `git commit`",
            {"stages": len(definitions), "unknown": len(unknown)},
        )
    problems |= {name: [f"stage {name!r} is in {LOCK} and not in dvc.yaml"] for name in unknown}
    figures = {"stages": len(definitions), "unknown": len(unknown)}
    return _judged(STAGES, problems, definitions, f"the {len(definitions)} stages of dvc.yaml are in {LOCK}", figures)


def judge_params(lock: Lock, definitions: Sequence[StageDefinition]) -> Verdict:
    """The parameters that stages read have the values that they were run with."""
    problems: dict[str, list[str]] = {}
    count = 0
    for definition in definitions:
        if definition.name not in lock.stages:
            continue
        for each in definition.params:
            count += 1
            if each.locked != each.current:
                was, now = (_short(value) for value in (each.locked, each.current))
                problems.setdefault(definition.name, []).append(
                    f"stage {definition.name!r} was run with {each.key} = {was}, and {each.file} has {now}"
                )
    passed = f"{count} parameters of {len(definitions)} stages have the values in {LOCK}"
    return _judged(PARAMS_MATCH, problems, definitions, passed, {"parameters": count})


def judge_chain(links: Links, definitions: Sequence[StageDefinition]) -> Verdict:
    """What a stage read is what the stage before it wrote."""
    figures = {"links": links.linked, "unknown": len(links.unknown)}
    if links.unknown and not links.problems:
        return Verdict(
            name=CHAIN,
            outcome=Outcome.INCONCLUSIVE,
            reason=f"whether {listed(sorted(set(links.unknown)))} is what the stages before wrote cannot be told "
            "without the listing of the folder: run `dvc pull` and check again",
            figures=figures,
        )
    passed = f"each of {links.linked} inputs has the hash that the stage before it wrote"
    return _judged(CHAIN, links.problems, definitions, passed, figures)


def judge_inputs(links: Links, definitions: Sequence[StageDefinition], md5: Callable[[str], str | None]) -> Verdict:
    """The files of the tree that stages read have the hashes that they were run with; `md5` gives those of the tree."""
    problems: dict[str, list[str]] = {}
    found: dict[str, str | None] = {}
    for name, files in links.from_tree.items():
        for file, path in files:
            found.setdefault(path, md5(path))
            if found[path] is None:
                problems.setdefault(name, []).append(f"stage {name!r} reads {path}, which is not in the tree")
            elif found[path] != file.md5:
                problems.setdefault(name, []).append(f"stage {name!r} was run with another {path}")
    passed = f"{len(found)} files and folders of the tree are those that the stages were run with"
    return _judged(INPUTS, problems, definitions, passed, {"inputs": len(found)})


def judge_outputs(
    lock: Lock,
    definitions: Sequence[StageDefinition],
    md5: Callable[[str], str | None],
    changed: Mapping[str, str],
) -> Verdict:
    """Outputs that Git keeps are there and are the lock's; those that DVC keeps are unchanged where they are there.

    Args:
        lock: the lock.
        definitions: the stages of dvc.yaml.
        md5: gives the hash of a path in the tree.
        changed: outputs that DVC keeps, are in the tree, and are not what the lock says: name to how they differ.
    """
    problems: dict[str, list[str]] = {}
    in_git = 0
    for definition in definitions:
        entry = lock.stages.get(definition.name)
        hashes = {file.path: file.md5 for file in entry.outs} if entry else {}
        for out in definition.outs:
            if out.name not in hashes or out.path is None:
                continue
            problem = None
            if out.cached:
                if out.name in changed:
                    problem = f"{out.path} was changed after stage {definition.name!r} wrote it ({changed[out.name]})"
            else:
                in_git += 1
                found = md5(out.path)
                if found is None:
                    problem = f"{out.path} is missing: stage {definition.name!r} writes it, and Git has to keep it"
                elif found != hashes[out.name]:
                    problem = f"{out.path} is not what stage {definition.name!r} wrote"
            if problem is not None:
                problems.setdefault(definition.name, []).append(problem)
    passed = f"the {in_git} outputs that Git keeps are those of {LOCK}"
    return _judged(OUTPUTS, problems, definitions, passed, {"outputs_in_git": in_git})


def _judged(
    name: str,
    problems: Mapping[str, list[str]],
    definitions: Sequence[StageDefinition],
    passed: str,
    figures: Mapping[str, int],
) -> Verdict:
    if not problems:
        return Verdict(name=name, outcome=Outcome.PASSED, reason=passed, figures=dict(figures))
    sentences = [sentence for found in problems.values() for sentence in found]
    return _failed(
        name,
        f"{listed(sentences)}; {mending(problems, definitions)}",
        {**figures, "problems": len(sentences), "stale_stages": ", ".join(problems)},
    )


def _unhashed(name: str, entry: LockedStage) -> list[str]:
    """Entries whose hash says nothing about their exact content."""
    return [
        f"stage {name!r} has no MD5 of the content of {file.path} in {LOCK} (run `dvc cache migrate --dvc-files`)"
        for file in (*entry.deps, *entry.outs)
        if file.md5 is None or file.hash != "md5"
    ]


def _stays_inside(path: str) -> bool:
    depth = 0
    for part in PurePosixPath(path).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return False
    return True


def _but(names: Iterable[str], others: Collection[str]) -> list[str]:
    return sorted(set(names) - set(others))


def _command(cmd: str | list[str]) -> str:
    return cmd if isinstance(cmd, str) else " && ".join(cmd)


def _short(value: str | None) -> str:
    if value is None:
        return "nothing"
    return value if len(value) <= 60 else f"{value[:57]}..."


def _failed(name: str, reason: str, figures: Mapping[str, Figure]) -> Verdict:
    return Verdict(name=name, outcome=Outcome.FAILED, reason=reason, figures=dict(figures))
