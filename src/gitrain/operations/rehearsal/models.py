"""The steps that make and judge models: what a person does before anything is released."""

import json

from gitrain.documents import parse_json
from gitrain.evaluation.document import Evaluation
from gitrain.gates.names import CHAMPION
from gitrain.operations.rehearsal.environments import ENVIRONMENTS, environment_files
from gitrain.operations.rehearsal.scene import FORGE, REPOSITORY, Done, Scene
from gitrain.operations.rehearsal.waiver import with_waiver
from gitrain.pipeline.layout import EVALUATION, PARAMS
from gitrain.verdicts import Figure, Outcome

__all__ = ["challenger", "champion", "clone", "data_branch", "forge", "metrics_of", "report"]

_PERSON = ("Gitrain rehearsal", "rehearsal@localhost")


def forge(scene: Scene) -> Done:
    """A bare repository, and a clone with the environments of the rehearsal."""
    source = scene.tools.source
    scene.run("git", "init", "--quiet", "--bare", "--initial-branch", "main", FORGE, folder=".")
    # A source that is cut off somewhere, as in continuous integration, gives a forge that is.
    scene.run("git", "config", "receive.shallowUpdate", "true", folder=FORGE)
    # Without tags: the first release is the first of this forge.
    scene.run("git", "clone", "--quiet", "--no-tags", source, REPOSITORY, folder=".")
    scene.git("switch", "--quiet", "-C", "main")
    scene.git("remote", "set-url", "origin", f"{scene.root}/{FORGE}")
    _settle(scene, REPOSITORY)
    scene.tools.prepare(REPOSITORY)
    said = ["the commit that is checked out, in a clone of its own"]
    if scene.plan.has("test") or scene.tools.service is not None:
        scene.ports = dict(zip(ENVIRONMENTS, scene.tools.ports(len(ENVIRONMENTS)), strict=True))
        files = scene.tools.files(REPOSITORY)
        for path, text in environment_files(scene.ports).items():
            files.write_text(path, text)
        scene.commit("Environments of the rehearsal", *environment_files(scene.ports))
        said.append("environments test, preprod and production, with small probes")
    scene.git("push", "--quiet", "--set-upstream", "origin", "main")
    return Done(said=tuple(said))


def clone(scene: Scene, folder: str) -> None:
    """Another clone of the forge, with the cache of the first."""
    scene.run("git", "clone", "--quiet", f"{scene.root}/{FORGE}", folder, folder=".")
    _settle(scene, folder)
    scene.tools.share(REPOSITORY, folder)
    scene.run("dvc", "checkout", "--quiet", folder=folder)


def _settle(scene: Scene, folder: str) -> None:
    """Who commits there: nobody's own name, key or hook has to do with a rehearsal."""
    name, address = _PERSON
    for key, value in (
        ("user.name", name),
        ("user.email", address),
        ("commit.gpgSign", "false"),
        ("tag.gpgSign", "false"),
        ("core.hooksPath", "/dev/null"),
    ):
        scene.git("config", key, value, folder=folder)


def champion(scene: Scene) -> Done:
    """The first model."""
    return _train(scene, scene.plan.champion, "main")


def challenger(scene: Scene) -> Done:
    """The second model, on a branch, with one batch more."""
    branch = data_branch(scene)
    scene.git("switch", "--quiet", "-C", branch)
    return _train(scene, scene.plan.challenger, branch)


def data_branch(scene: Scene) -> str:
    """The branch that brings the challenger's data."""
    return f"data-{scene.plan.challenger}"


def _train(scene: Scene, batch: str, branch: str) -> Done:
    scene.run("gitrain", "data", "advance", "--to", batch)
    scene.run("dvc", "repro")
    commit = scene.commit(f"Data through {batch}")
    scene.git("push", "--quiet", "--force", "origin", f"{branch}:{branch}")
    scene.newest = batch
    said, figures = metrics_of(scene)
    return Done(said=(said, f"commit {commit[:7]} on {branch}"), figures=figures)


def metrics_of(scene: Scene, folder: str = REPOSITORY) -> tuple[str, dict[str, Figure]]:
    """The figures of the model in a clone, as a sentence too."""
    text = scene.tools.files(folder).read_text(EVALUATION)
    found = parse_json(Evaluation, text, source=EVALUATION)
    judged = [metric.name for metric in scene.plan.project.metrics]
    figures: dict[str, Figure] = {name: found.metrics[name].value for name in judged if name in found.metrics}
    shown = ", ".join(f"{name} {value:.3f}" for name, value in figures.items() if isinstance(value, float))
    return f"{shown} on {found.rows:,} rows of {', '.join(found.batches)}, which it had not seen", figures


def report(scene: Scene) -> Done:
    """What continuous integration says of the branch: it brings data, so what is asked of features is left out."""
    code, gates = _judge(scene)
    taken: tuple[str, ...] = ()
    bad = [verdict for verdict in gates["verdicts"] if verdict["outcome"] != "PASSED"]
    if bad and all(verdict["name"] == CHAMPION for verdict in bad):
        taken = (_waive(scene, bad[0]["reason"]),)
        code, gates = _judge(scene)
    scene.tools.files(".").write_text("gates.json", json.dumps(gates))
    place = f"{scene.root}/report.pull-request.md"
    given = ("--gates", f"{scene.root}/gates.json", "--out", place)
    scene.run("gitrain", "report", "pr", "--base", "origin/main", *given)
    scene.where.append(("the report on the pull request", place))
    verdicts = gates["verdicts"]
    if code != 0:
        return Done(outcome=Outcome.FAILED, said=(f"the gates refuse it: {_first(gates)}",))
    passed = sum(verdict["outcome"] == "PASSED" for verdict in verdicts)
    said = f"{passed} of {len(verdicts)} gates passed{', one of them by a waiver' if taken else ''}"
    against = [verdict["reason"] for verdict in verdicts if verdict["name"] == CHAMPION]
    return Done(said=(said, *against, *taken), figures={"gates": len(verdicts), "waived": len(taken)})


def _judge(scene: Scene) -> tuple[int, dict[str, list[dict[str, str]]]]:
    return scene.ask("gate", "check", "--base", "origin/main", accept=(0, 1, 4))


def _waive(scene: Scene, reason: str) -> str:
    """A model that is sound, and not shown to be better, is taken if a person says so: in Git, for a week."""
    batch = scene.plan.challenger
    name = scene.tools.approve(f"the model with {batch} is not shown to be better ({reason}): take it by a waiver")
    files = scene.tools.files(REPOSITORY)
    why = f"rehearsed: {batch} is newer and nothing else is wrong; taken by {name}"
    files.write_text(PARAMS, with_waiver(files.read_text(PARAMS), CHAMPION, why, today=scene.tools.today()))
    scene.commit(f"A waiver for data through {batch}", PARAMS)
    scene.git("push", "--quiet", "origin", data_branch(scene))
    return f"not shown to be better, and taken by a waiver of a week: {name}"


def _first(payload: dict[str, list[dict[str, str]]]) -> str:
    bad = [verdict for verdict in payload["verdicts"] if verdict["outcome"] != "PASSED"]
    return f"{bad[0]['name']}: {bad[0]['reason']}" if bad else "no verdict says why"
