"""Deployments on this machine: settings and files become the arguments of the reconciler.

Nothing heavy is imported before it is known that there is something to do: a pass that finds all as desired is run
every few minutes.
"""

import getpass
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from gitrain.deployment.deployer import Bundle, ProbeKind
from gitrain.deployment.record import RunningRelease
from gitrain.deployment.replicas import Desired
from gitrain.environments.document import Probes
from gitrain.integrations.caddy import CaddyProxy
from gitrain.integrations.deployment_branch import DeploymentBranch
from gitrain.integrations.git_history import GitHistory, person_of
from gitrain.integrations.local_deployer import LocalDeployer
from gitrain.integrations.local_leftovers import VENVS, discard_unused, taking_bundle
from gitrain.integrations.release_python import ReleasePython
from gitrain.integrations.requirements import InstalledPackages
from gitrain.operations.carry_out_plan import DeploymentTools
from gitrain.operations.fetch_release import fetch_release
from gitrain.operations.plan_deployment import environment_names, find_desired
from gitrain.operations.verify_release import verify_release
from gitrain.pipeline.layout import KNOWN_ANSWERS
from gitrain.settings import Settings, load_settings
from gitrain.verdicts import Outcome, Verdict
from gitrain.wiring.canaries import open_watch
from gitrain.wiring.releases import open_release_keys, open_release_stores

__all__ = [
    "actor_of",
    "clear_state",
    "command_here",
    "open_deployer",
    "open_deployment",
    "open_desired",
    "open_environment_names",
    "open_records",
    "state_folder",
]

_SOURCES = "src"


def state_folder(settings: Settings) -> Path:
    """Where the state of environments is kept, and what they run from: GITRAIN_STATE, else ``.gitrain``.

    A runner that cleans its checkout before each job needs another place than the checkout.
    """
    return Path(os.environ.get("GITRAIN_STATE") or settings.root / ".gitrain").absolute()


def clear_state(settings: Settings) -> list[str]:
    """Remove the bundles and environments of Python that nothing here runs from, save the newest; what was removed."""
    return discard_unused(state_folder(settings), now=time.time())


def open_environment_names(settings: Settings) -> list[str]:
    """The environments that the commit which is checked out has files of."""
    return environment_names(GitHistory(settings.root))


def open_desired(settings: Settings, name: str) -> Desired:
    """What the commit that is checked out says of an environment; errors as in `find_desired`."""
    return find_desired(name, GitHistory(settings.root), open_release_stores(settings))


def open_deployer(
    settings: Settings, desired: Desired, progress: Callable[[str], None] = lambda _: None
) -> LocalDeployer:
    """What starts and ends replicas of an environment on this machine."""
    state, runtime = state_folder(settings), desired.file.runtime
    return LocalDeployer(
        state / "environments" / desired.name,
        runtime.listen,
        open_proxy=lambda folder, listen: CaddyProxy(folder, listen, grace_seconds=runtime.stop_seconds),
        python=ReleasePython(state / VENVS, InstalledPackages(), progress=progress),
    )


def open_records(settings: Settings) -> DeploymentBranch:
    """The records of deployments."""
    return DeploymentBranch(settings.root)


def open_deployment(
    directory: str,
    name: str,
    progress: Callable[[str], None],
    *,
    approved_by: str | None = None,
) -> DeploymentTools:
    """What a deployment of an environment is given.

    Args:
        directory: a folder of the repository.
        name: of the environment.
        progress: is told what goes on.
        approved_by: who approved it; None where nobody had to.

    Raises:
        SettingsError, UsageError: no repository, no environment, an impossible file.
        ReleaseError: the release is not there, was changed, or is another one than the file's digest says.
    """
    settings = load_settings(Path(directory))
    desired = open_desired(settings, name)
    deployer = open_deployer(settings, desired, progress)
    return DeploymentTools(
        desired=desired,
        deployer=deployer,
        records=open_records(settings),
        fetch=lambda release: _fetch(settings, release),
        probe=lambda kind, url, bundle: _probe(kind, url, bundle, desired.file.probes, progress),
        watch=open_watch(desired, deployer, progress),
        actor=actor_of(settings),
        approved_by=approved_by,
        clock=lambda: datetime.now(UTC),
        seconds=time.monotonic,
        pause=time.sleep,
        progress=progress,
    )


def actor_of(settings: Settings) -> str:
    """Who starts this: as the forge says, else Git, else the machine."""
    for name in ("GITHUB_TRIGGERING_ACTOR", "GITHUB_ACTOR"):
        if os.environ.get(name):
            return os.environ[name]
    return person_of(settings.root) or getpass.getuser()


def command_here(settings: Settings, *arguments: str) -> str:
    """The command line that runs this Gitrain in this repository, from anywhere."""
    return shlex.join([sys.executable, "-m", "gitrain", "-C", str(settings.root), *arguments])


def _fetch(settings: Settings, release: RunningRelease) -> tuple[Sequence[Verdict], Bundle | None]:
    """Every digest anew, the signature and the tag; then the bundle as a folder, verified once more on its way."""
    stores = open_release_stores(settings)
    tags = GitHistory(settings.root).tags()
    verified = verify_release(stores, release.version, keys=open_release_keys(settings), tags=tags)
    if verified.outcome is not Outcome.PASSED or verified.record is None:
        return verified.verdicts, None
    with taking_bundle(state_folder(settings)) as unpacked:
        found = fetch_release(stores, unpacked, release.version)
        os.utime(found.folder)
    if found.record != verified.record or found.record.bundle_digest != release.digest:
        reason = f"the bundle is {found.record.bundle_digest}, and {release.digest} is desired"
        return [*verified.verdicts, Verdict(name="deploy:digest", outcome=Outcome.FAILED, reason=reason)], None
    return verified.verdicts, Bundle(record=found.record, folder=found.folder)


def _probe(
    kind: ProbeKind, url: str, bundle: Bundle, probes: Probes, progress: Callable[[str], None]
) -> Sequence[Verdict]:
    # Probes take numpy and polars; a pass that starts nothing needs neither.
    from gitrain.operations.probe_contract import probe_contract
    from gitrain.operations.probe_load import probe_load
    from gitrain.operations.probe_smoke import find_table, probe_smoke
    from gitrain.probes.payloads import payloads_of
    from gitrain.wiring.probes import (
        open_client,
        open_fuzzer,
        open_hostile_sender,
        open_known_answers,
        open_load_generator,
    )

    inside = bundle.folder / _SOURCES
    known = open_known_answers(str(inside), str(inside / KNOWN_ANSWERS))
    client = open_client(url)
    if kind == "smoke":
        facts = bundle.record.identity.model_dump(mode="json", exclude={"schema_version"})
        return probe_smoke(
            client,
            known,
            ready_seconds=probes.smoke.ready_seconds,
            expected=facts,
            clock=time.monotonic,
            sleep=time.sleep,
            progress=progress,
        )
    if kind == "contract":
        return probe_contract(
            client,
            open_fuzzer(),
            open_hostile_sender(),
            known,
            requests=probes.contract.requests,
            seed=0,
            progress=progress,
        )
    payloads = payloads_of(known, find_table(client))
    return probe_load(open_load_generator(), url, payloads, probes.load, seed=0, progress=progress)
