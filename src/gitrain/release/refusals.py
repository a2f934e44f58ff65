"""What keeps a commit from being released: pure rules, one a verdict."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from gitrain.pipeline.layout import LOCK, MODEL, MODEL_MANIFEST, REQUIREMENTS, SERVED, SERVING_MANIFEST
from gitrain.release.imports import Imports
from gitrain.release.requirements import Closure, Installed, LockedRequirement
from gitrain.verdicts import Outcome, Verdict

__all__ = [
    "BUNDLE",
    "COMMIT",
    "GATES",
    "IMPORTS",
    "MODELS",
    "REBUILT",
    "REQUIREMENTS_LOCKED",
    "judge_commit",
    "judge_imports",
    "judge_models",
    "judge_rebuilt",
    "judge_requirements",
    "judge_served_imports",
]

COMMIT = "release:commit"
MODELS = "release:models"
REQUIREMENTS_LOCKED = "release:requirements"
IMPORTS = "release:imports"
GATES = "release:gates"
BUNDLE = "release:bundle"
REBUILT = "release:rebuilt"

_SHOWN = 5


def judge_commit(commit: str, changed: Sequence[str]) -> Verdict:
    """What is released is a commit: nothing in the tree may differ from it."""
    if not changed:
        return Verdict(name=COMMIT, outcome=Outcome.PASSED, reason=f"the tree is commit {commit[:12]}")
    return _failed(
        COMMIT,
        f"{_listed(changed)} {'differs' if len(changed) == 1 else 'differ'} from commit {commit[:12]}: commit, or put "
        "aside with `git stash --include-untracked`",
        {"files": len(changed)},
    )


def judge_models(
    *,
    problems: Sequence[str],
    remade: Sequence[str],
    digests: Mapping[str, str],
    described: Mapping[str, str],
    served: Sequence[str],
    served_path: str,
) -> Verdict:
    """The judged model and the served file are those of dvc.lock, of models/model.json and of models/serving.json.

    Args:
        problems: what nobody has.
        remade: the stages that were run again to get them.
        digests: the SHA-256 of the files that were found with the hashes of dvc.lock, by path.
        described: what the manifests say, by what they say it of, e.g. ``models/model.json: models/model.skops``.
        served: the files in models/serving.
        served_path: what models/serving.json says is served.
    """
    found = list(problems)
    if not problems:
        for what, digest in described.items():
            source, _, path = what.partition(": ")
            if path in digests and digests[path] != digest:
                found.append(f"{source} describes {path} with the digest {digest}, and {LOCK} has {digests[path]}")
        if list(served) != [served_path]:
            found.append(
                f"{SERVED} holds {_listed(served) or 'nothing'}, and {SERVING_MANIFEST} names {served_path} alone"
            )
    if found:
        return _failed(MODELS, f"{'; '.join(found)}; run `dvc repro`, and commit {LOCK} with what it wrote", {})
    again = f"; nobody had them, and running {', '.join(remade)} again gave the very same" if remade else ""
    return Verdict(
        name=MODELS,
        outcome=Outcome.PASSED,
        reason=f"{MODEL} and {served_path} are those of {LOCK}, {MODEL_MANIFEST} and {SERVING_MANIFEST}{again}",
        figures={MODEL: digests[MODEL], served_path: digests[served_path]},
    )


def judge_requirements(closure: Closure) -> Verdict:
    """All that the service needs is locked with hashes, and installed here as it is locked."""
    if closure.problems:
        return _failed(
            REQUIREMENTS_LOCKED,
            f"{_listed(closure.problems, '; ')}; add what is missing to pyproject.toml, resolve {REQUIREMENTS} again "
            "(here: `make lock`), and install what it says (here: `make env`)",
            {"problems": len(closure.problems)},
        )
    return Verdict(
        name=REQUIREMENTS_LOCKED,
        outcome=Outcome.PASSED,
        reason=f"the service needs {len(closure.names)} packages of {REQUIREMENTS}: all hashed, and installed so",
        figures={"packages": len(closure.names)},
    )


def judge_imports(
    imports: Mapping[str, Imports],
    installed: Installed,
    entries: Iterable[LockedRequirement],
    *,
    packed: Collection[str],
) -> Verdict:
    """Each library that a packed source imports, in whatever function, is in requirements.lock.

    Args:
        imports: of each source, by its path.
        installed: says which package a module comes from.
        entries: of requirements.lock.
        packed: the top-level modules that are packed themselves.
    """
    locked = {entry.name for entry in entries}
    problems = []
    for module, path in _first_users(imports, at_once=False).items():
        if module in packed:
            continue
        packages = installed.providers(module)
        if not packages:
            problems.append(f"{path} imports {module}, which no installed package has")
        elif not set(packages) & locked:
            problems.append(f"{path} imports {module} of {_listed(sorted(packages))}, which {REQUIREMENTS} lacks")
    if problems:
        return _failed(
            IMPORTS,
            f"{_listed(problems, '; ')}; add it to pyproject.toml and resolve {REQUIREMENTS} again (here: `make lock`)",
            {"problems": len(problems)},
        )
    return Verdict(
        name=IMPORTS,
        outcome=Outcome.PASSED,
        reason=f"{len(imports)} packed sources import nothing that {REQUIREMENTS} lacks",
        figures={"sources": len(imports)},
    )


def judge_served_imports(
    modules: Mapping[str, Path],
    imports: Mapping[str, Imports],
    installed: Installed,
    *,
    context: Path,
    libraries: Sequence[Path],
    names: Collection[str],
    packed: Collection[str],
) -> Verdict:
    """The service was imported from what the bundle holds and installs, and from nothing else.

    Args:
        modules: what was imported: each module's name to its file.
        imports: of each packed source, by its path in `context`.
        installed: says which package a module comes from.
        context: the folder that was packed.
        libraries: the folders of installed packages and of the standard library.
        names: of the packages that the bundle installs.
        packed: the top-level modules that are packed themselves.
    """
    problems = []
    loaded = {}
    for name, file in modules.items():
        if file.is_relative_to(context):
            path = file.relative_to(context).as_posix()
            if path in imports:
                loaded[path] = imports[path]
        elif name.partition(".")[0] in packed or not any(file.is_relative_to(folder) for folder in libraries):
            top = name.partition(".")[0]
            if not set(installed.providers(top)) & set(names):
                problems.append(f"{name} was imported from {file}, which is not part of the bundle")
    for module, path in _first_users(loaded, at_once=True).items():
        if module not in packed and not set(installed.providers(module)) & set(names):
            problems.append(
                f"{path} imports {module}, which the bundle does not install: name its package in bentofile.yaml under "
                "python.packages"
            )
    if problems:
        return _failed(BUNDLE, _listed(problems, "; "), {"problems": len(problems)})
    return Verdict(
        name=BUNDLE,
        outcome=Outcome.PASSED,
        reason=f"the service was imported from {len(loaded)} packed sources and the packages that the bundle installs",
        figures={"sources": len(loaded), "modules": len(modules)},
    )


def judge_rebuilt(version: str, *, found: str, recorded: str, different: Sequence[str]) -> Verdict:
    """A commit that is released already gives the same bundle again.

    Args:
        version: of the release.
        found: the digest of the bundle that was built now.
        recorded: the digest in the release's record.
        different: the keys of `release.json` that differ between the two.
    """
    if found == recorded:
        return Verdict(
            name=REBUILT, outcome=Outcome.PASSED, reason=f"built again, {version} is the same to the last byte"
        )
    return _failed(
        REBUILT,
        f"release {version} has the bundle {recorded}, and building its commit again gives {found}"
        f"{f' (its release.json differs in {_listed(different)})' if different else ''}: it was built with another "
        "Python, or another version of Gitrain or BentoML; take those, or release a new commit",
        {"recorded": recorded, "found": found},
    )


def _first_users(imports: Mapping[str, Imports], *, at_once: bool) -> dict[str, str]:
    """Each imported module, and the first source that imports it."""
    found: dict[str, str] = {}
    for path in sorted(imports):
        for module in sorted(imports[path].at_once if at_once else imports[path].ever):
            found.setdefault(module, path)
    return dict(sorted(found.items()))


def _failed(name: str, reason: str, figures: Mapping[str, int | str]) -> Verdict:
    return Verdict(name=name, outcome=Outcome.FAILED, reason=reason, figures=dict(figures))


def _listed(items: Sequence[str], separator: str = ", ") -> str:
    more = f"{separator}and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return separator.join(items[:_SHOWN]) + more
