"""The steps that have to be refused, and the way back."""

from gitrain.errors import UsageError
from gitrain.operations.rehearsal.deployments import (
    deploy,
    make_release,
    merge_branch,
    promote_to_production,
    pull,
    through_preprod,
)
from gitrain.operations.rehearsal.environments import PRODUCTION
from gitrain.operations.rehearsal.models import clone, metrics_of
from gitrain.operations.rehearsal.sabotage import LEAK_MODULE, leak_source, service_path, slowed
from gitrain.operations.rehearsal.scene import REPOSITORY, REVIEW, Done, Scene
from gitrain.verdicts import Outcome

__all__ = ["judge_leak", "leak", "rollback", "slow"]

_PYPROJECT = "pyproject.toml"
_ALARM = "leak-alarm"


def leak(scene: Scene) -> Done:
    """The pull request with a leak; it was judged beside, if that was begun."""
    return scene.leak.result() if scene.leak is not None else judge_leak(scene)


def judge_leak(scene: Scene) -> Done:
    """Train with a feature that reads the outcome, in a clone of its own, and ask the gates."""
    clone(scene, REVIEW)
    scene.git("switch", "--quiet", "-C", "leak", folder=REVIEW)
    files = scene.tools.files(REVIEW)
    reference = scene.tools.reference
    files.write_text(f"{LEAK_MODULE}.py", leak_source(reference))
    before = files.read_text(_PYPROJECT)
    after = before.replace(f'"{reference}"', f'"{LEAK_MODULE}:PROJECT"').replace(
        f"'{reference}'", f"'{LEAK_MODULE}:PROJECT'"
    )
    if after == before:
        raise UsageError(f"{_PYPROJECT} does not name {reference}", fix="name the project as a plain string.")
    files.write_text(_PYPROJECT, after)
    scene.commit("A feature that helps a lot", folder=REVIEW)
    scene.git("push", "--quiet", "--force", "origin", "leak", folder=REVIEW)
    for command in (("features", "build"), ("train",), ("evaluate",)):
        scene.run("gitrain", *command, folder=REVIEW)
    code, gates = scene.ask("gate", "check", "--base", "origin/main", folder=REVIEW, accept=(0, 1, 4))
    said, figures = metrics_of(scene, REVIEW)
    found = [each for each in gates["verdicts"] if each["outcome"] == "FAILED" and each["name"].startswith(_ALARM)]
    if code != 1 or not found:
        return Done(outcome=Outcome.FAILED, said=("a model that has seen the outcome was not refused for it", said))
    refused = f"refused by {found[0]['name']}: {found[0]['reason']}"
    return Done(said=(refused, "its branch is not merged"), figures=figures)


def slow(scene: Scene) -> Done:
    """A release whose fault shows in the canary only, and what becomes of it."""
    champion = scene.production
    _merge_slow(scene)
    # MLflow has the model already: nothing of it is new.
    version, said = make_release(scene, register=False)
    scene.git("push", "--quiet", "--tags", "origin", "main")
    before = through_preprod(scene, version, said)
    if before.outcome is not Outcome.PASSED:
        return before
    deployed, _ = promote_to_production(scene)
    if deployed.ending != "ABORTED":
        said = (f"a slow release was not aborted: {deployed.ending}: {deployed.reason}", *said[:1])
        return Done(outcome=Outcome.FAILED, said=said)
    revert = (deployed.payload.get("revert") or {}).get("proposal")
    if revert is None:
        return Done(outcome=Outcome.FAILED, said=("it was aborted, and nobody opened the revert", deployed.reason))
    said_so = f"all requests went back to {champion} at once; {revert['branch']} was opened, which says so in Git"
    _merge_revert(scene, revert["branch"])
    return Done(
        said=(f"{version} passed in test and preprod", f"aborted in production: {deployed.reason}", said_so),
        figures={"version": version, "aborted_seconds": deployed.seconds},
    )


def _merge_slow(scene: Scene) -> None:
    if scene.tools.service is None:
        raise ValueError("there is no service that could be slow")
    scene.git("switch", "--quiet", "-C", "slower")
    files = scene.tools.files(REPOSITORY)
    path = service_path(scene.tools.service, scene.git("ls-files").splitlines())
    files.write_text(path, slowed(files.read_text(path)))
    scene.commit("A small change of the service", path)
    merge_branch(scene, "slower")


def _merge_revert(scene: Scene, branch: str) -> None:
    scene.git("fetch", "--quiet", "origin")
    merge_branch(scene, f"origin/{branch}")
    # Nothing is left to be done: what is desired runs.
    deploy(scene, PRODUCTION)


def rollback(scene: Scene) -> Done:
    """Production goes back to the release that it ran first."""
    target, present = scene.versions[0], scene.production
    approver = scene.tools.approve(f"{PRODUCTION} is to go back from {present} to {target}")
    begun = scene.tools.clock()
    _, proposed = scene.ask(
        "env", "rollback", PRODUCTION, "--to", target, "--reason", "rehearsed: the way back", "--merge"
    )
    pull(scene)
    decided = scene.tools.clock()
    deployed = deploy(scene, PRODUCTION, "--approved-by", approver)
    ended = scene.tools.clock()
    if not deployed.succeeded:
        return Done(outcome=Outcome.FAILED, said=(f"{deployed.ending}: {deployed.reason}",))
    scene.versions.append(target)
    route = sum(deployed.steps.values())
    return Done(
        said=(
            f"from {present} to {target} in {ended - begun:.1f} s: {decided - begun:.1f} s to decide it in Git, "
            f"{ended - decided:.1f} s until all requests went there ({route:.1f} s of it at work)",
            f"approved by {approver}; {proposed['proposal']['branch']}",
        ),
        figures={"decided_seconds": round(decided - begun, 1), "deployed_seconds": round(ended - decided, 1)},
    )
