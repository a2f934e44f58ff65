"""The steps from a commit to users: releases, environments, promotions, a canary."""

from dataclasses import dataclass, replace
from typing import Any

from gitrain.documents import parse_json
from gitrain.errors import IntegrationError
from gitrain.operations.rehearsal.environments import PRODUCTION, RATE, address_of
from gitrain.operations.rehearsal.models import data_branch
from gitrain.operations.rehearsal.scene import REPOSITORY, Done, Scene
from gitrain.pipeline.layout import KNOWN_ANSWERS
from gitrain.probes.payloads import payloads_of
from gitrain.serving.manifest import KnownAnswers
from gitrain.verdicts import Figure, Outcome

__all__ = [
    "Deployed",
    "canary",
    "deploy",
    "deploy_first",
    "make_release",
    "merge",
    "merge_branch",
    "preprod",
    "production",
    "promote_to_production",
    "pull",
    "release",
    "test",
    "through_preprod",
    "users",
]

_STATE = ".gitrain/environments"


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """How a deployment ended.

    Attributes:
        ending: SUCCEEDED, FAILED or ABORTED; empty where there was nothing to do.
        version: the release that was to run.
        reason: one sentence.
        steps: its steps by name: how long each took.
        verdicts: what was judged, the newest last.
        payload: all of what `deploy apply --json` said.
        seconds: how long it took from its approval on; 0 where nobody was asked.
    """

    ending: str
    version: str
    reason: str
    steps: dict[str, float]
    verdicts: tuple[dict[str, Any], ...]
    payload: dict[str, Any]
    seconds: float = 0.0

    @property
    def succeeded(self) -> bool:
        """Whether the release runs."""
        return self.ending == "SUCCEEDED"


def release(scene: Scene) -> Done:
    """The first release."""
    version, said = make_release(scene)
    scene.git("push", "--quiet", "--tags", "origin", "main")
    return Done(said=said, figures={"version": version})


def make_release(scene: Scene, *, register: bool = True) -> tuple[str, tuple[str, ...]]:
    """Build and publish the release of the commit that is checked out; its version, and what to say of it."""
    code, built = scene.ask("release", "build", accept=(0, 1, 4))
    if code != 0:
        bad = [each for each in built["verdicts"] if each["outcome"] != "PASSED"]
        raise IntegrationError(
            f"the commit is not released: {'; '.join(each['reason'] for each in bad[:2])}",
            fix="look at log.txt in the scratch folder.",
        )
    scene.run("gitrain", "release", "publish", built["version"], *(() if register else ("--no-register",)))
    record = built["record"]
    digest = record["bundle_digest"].removeprefix("sha256:")[:12]
    size = f"{record['bundle_size'] / 1e6:.1f} MB"
    return built["version"], (
        f"release {built['version']} ({built['reason']}): {record['files']} files, {size}, digest {digest}",
        f"serves {record['serving']['format']}: {record['serving']['reason']}",
    )


def test(scene: Scene) -> Done:
    """The environment that follows main."""
    return deploy_first(scene, "test")


def preprod(scene: Scene) -> Done:
    """The same digest, promoted."""
    scene.ask("env", "promote", "preprod", "--merge")
    pull(scene)
    return deploy_first(scene, "preprod")


def production(scene: Scene) -> Done:
    """What users will see, once somebody has approved it."""
    deployed, approver = promote_to_production(scene)
    return _done(scene, deployed, PRODUCTION, f"approved by {approver}")


def users(scene: Scene) -> Done:
    """Requests from now on."""
    text = scene.tools.files(REPOSITORY).read_text(KNOWN_ANSWERS)
    known = parse_json(KnownAnswers, text, source=KNOWN_ANSWERS)
    bodies = [payload.body.decode() for payload in payloads_of(known, scene.plan.project.features.entity.table)]
    url = f"http://{address_of(scene.ports[PRODUCTION])}"
    scene.tools.traffic.start(url, "\n".join(bodies) + "\n", RATE)
    scene.where.append(("production", url))
    return Done(said=(f"{RATE:g} requests a second to {address_of(scene.ports[PRODUCTION])}",), figures={"rate": RATE})


def merge(scene: Scene) -> Done:
    """The challenger on main, in test and in preprod."""
    merge_branch(scene, data_branch(scene))
    version, said = make_release(scene)
    scene.git("push", "--quiet", "--tags", "origin", "main")
    return through_preprod(scene, version, said)


def through_preprod(scene: Scene, version: str, said: tuple[str, ...]) -> Done:
    """A release in test, then in preprod."""
    seconds: dict[str, Figure] = {"version": version}
    for name in ("test", "preprod"):
        if name == "preprod":
            scene.ask("env", "promote", name, "--merge")
            pull(scene)
        _fill_store(scene, name)
        begun = scene.tools.clock()
        deployed = deploy(scene, name)
        seconds[f"{name}_seconds"] = round(scene.tools.clock() - begun, 1)
        if not deployed.succeeded:
            return Done(outcome=Outcome.FAILED, said=(f"{name}: {deployed.ending}: {deployed.reason}", *said))
    runs = f"it runs in test after {seconds['test_seconds']} s, in preprod after {seconds['preprod_seconds']} s"
    return Done(said=(*said[:1], runs), figures=seconds)


def canary(scene: Scene) -> Done:
    """The challenger before users, step by step."""
    deployed, approver = promote_to_production(scene)
    # By name: each was asked anew at every step of the canary, and the last answer counts.
    judged = {each["name"]: each for each in deployed.verdicts if each["name"].startswith("canary:")}
    if deployed.succeeded and not judged:
        return Done(outcome=Outcome.FAILED, said=("nobody judged it: production is to move by a canary",))
    seconds = round(sum(seconds for name, seconds in deployed.steps.items() if name.startswith("canary")), 1)
    requests = max((each["figures"].get("requests", 0) for each in judged.values()), default=0)
    seen = (
        f"judged by {len(judged)} rules in {seconds:g} s, after {requests:,} requests of its own: none shows it worse"
    )
    said = (seen,) if deployed.succeeded else ()
    done = _done(scene, deployed, PRODUCTION, *said, f"approved by {approver}")
    return replace(done, figures={**done.figures, "canary_seconds": seconds, "canary_requests": requests})


def promote_to_production(scene: Scene) -> tuple[Deployed, str]:
    """Propose, have it approved, merge, deploy; how it ended, and who approved it."""
    _, proposed = scene.ask("env", "promote", PRODUCTION)
    wanted = proposed["release"]
    digest = wanted["digest"].removeprefix("sha256:")[:12]
    before = f" in place of {proposed['former']['version']}" if proposed["former"] else ""
    approver = scene.tools.approve(f"{PRODUCTION} is to run release {wanted['version']} ({digest}){before}")
    begun = scene.tools.clock()
    scene.ask("env", "promote", PRODUCTION, "--merge")
    pull(scene)
    _fill_store(scene, PRODUCTION)
    deployed = deploy(scene, PRODUCTION, "--approved-by", approver)
    deployed = replace(deployed, seconds=round(scene.tools.clock() - begun, 1))
    if deployed.succeeded:
        scene.versions.append(deployed.version)
    return deployed, approver


def deploy_first(scene: Scene, name: str) -> Done:
    """Fill the store of an environment, and make it run what its file says."""
    _fill_store(scene, name)
    return _done(scene, deploy(scene, name), name)


def deploy(scene: Scene, name: str, *arguments: str) -> Deployed:
    """Make an environment run what its file says."""
    _, applied = scene.ask("deploy", "apply", name, *arguments, accept=(0, 1, 4))
    record = applied["record"] or {}
    steps = record.get("steps", [])
    return Deployed(
        ending=record.get("ending", ""),
        version=applied["release"]["version"] if applied["release"] else "",
        reason=applied["reason"],
        steps={step["name"]: step["seconds"] for step in steps},
        verdicts=tuple(verdict for step in steps for verdict in step["verdicts"]),
        payload=applied,
    )


def _fill_store(scene: Scene, name: str) -> None:
    """Fill the online store of an environment, or bring it up to date while its service reads it."""
    # No environment is deployed to between the challenger's training and its merge.
    newest = scene.newest or scene.plan.champion
    if not scene.plan.project.features.histories or scene.filled.get(name) == newest:
        return
    path = f"{_STATE}/{name}/online.sqlite"
    files = scene.tools.files(REPOSITORY)
    if not files.exists(f"{_STATE}/{name}"):
        # SQLite makes files, not folders.
        files.write_text(f"{_STATE}/{name}/.rehearsed", "")
    # What the champion looks back on stays: its replicas answer until the last step of the canary.
    since = ("--since", scene.since) if scene.since is not None else ()
    _, filled = scene.ask("features", "materialize", "--store", f"sqlite:///{files.root / path}", *since)
    scene.filled[name] = newest
    held = [batch for history in filled["histories"] for batch in (*history["read"], *history["kept"])]
    if scene.since is None and held:
        scene.since = min(held)


def merge_branch(scene: Scene, branch: str) -> None:
    """What a reviewer does in the forge: the branch is merged into main."""
    scene.git("switch", "--quiet", "main")
    scene.git("merge", "--quiet", "--no-ff", "-m", f"Merge branch '{branch}'", branch)
    scene.git("push", "--quiet", "origin", "main")


def pull(scene: Scene) -> None:
    """Take over what was merged in the forge."""
    scene.git("pull", "--quiet", "--ff-only", "origin", "main")


def _done(scene: Scene, deployed: Deployed, name: str, *said: str) -> Done:
    figures: dict[str, Figure] = {"version": deployed.version}
    if not deployed.succeeded:
        return Done(outcome=Outcome.FAILED, said=(f"{deployed.ending}: {deployed.reason}", *said), figures=figures)
    took = sum(deployed.steps.values())
    where = address_of(scene.ports[name])
    probed = [step.removeprefix("probe ") for step in deployed.steps if step.startswith("probe ")]
    text = f"{deployed.version} runs at {where} after {took:.1f} s, probed by {', '.join(probed) or 'nobody'}"
    return Done(said=(text, *said), figures={**figures, "deploy_seconds": round(took, 1)})
