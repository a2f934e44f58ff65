"""What the checks of a service are given: a release or this tree, started within an environment."""

import contextlib
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gitrain.documents import parse_json
from gitrain.environments.document import Environment
from gitrain.errors import SettingsError
from gitrain.integrations.served_process import ServedProcess
from gitrain.lineage import digest_of_file
from gitrain.operations.check_served import check_served
from gitrain.operations.check_service import HttpScorer, ServiceTools
from gitrain.operations.find_release import LATEST
from gitrain.operations.materialize_features import materialize_features
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import IDENTITY, KNOWN_ANSWERS, LOCK, REQUIREMENTS, SERVING_MANIFEST
from gitrain.probes.client import ServiceClient
from gitrain.probes.started import BuiltFor, ServedRelease
from gitrain.release.bentofile import BENTOFILE, Bentofile
from gitrain.release.identity import ReleaseIdentity
from gitrain.release.requirements import parse_requirements
from gitrain.serving.manifest import KnownAnswers, ServingManifest
from gitrain.verdicts import Verdict
from gitrain.wiring.online import open_online_store
from gitrain.wiring.probes import (
    open_client,
    open_environment,
    open_fuzzer,
    open_hostile_sender,
    open_load_generator,
)
from gitrain.wiring.releases import fetch
from gitrain.wiring.repository import open_model_format

__all__ = ["ServiceChoice", "declares_service", "open_service_tools"]

# Where BentoML keeps the requirements of a bundle.
_OWN_REQUIREMENTS = "env/python/requirements.txt"
# What `gitrain check all` spends, which people wait for.
_QUICK_REQUESTS, _QUICK_SECONDS, _QUICK_ROWS = 100, 5.0, 100


@dataclass(frozen=True, kw_only=True)
class ServiceChoice:
    """What is checked, and how much of it.

    Attributes:
        environment: whose limits hold; None for the defaults.
        release: its version, or ``latest``; None for the one that the environment names, and without that the newest.
        tree: this tree's service instead of a release.
        store: where releases are kept, if not where the settings say.
        requests: how many are made up; None for the environment's.
        rows: of the holdout that are compared.
        seed: of all that is random.
        quick: less of everything: what `gitrain check all` has time for.
    """

    environment: str | None = None
    release: str | None = None
    tree: bool = False
    store: str | None = None
    requests: int | None = None
    rows: int = 200
    seed: int = 0
    quick: bool = False


def declares_service(root: Path) -> bool:
    """Whether a project declares a service: it has a bentofile.yaml."""
    return (root / BENTOFILE).is_file()


def open_service_tools(stage: Stage, directory: str, choice: ServiceChoice) -> ServiceTools:
    """What the checks of a service are given.

    Args:
        stage: of the repository; its holdout is what scores are compared with.
        directory: a folder of the repository.
        choice: what is checked.

    Raises:
        SettingsError, UsageError: no such environment, no service, a damaged file.
        ReleaseError: there is no such release, or it was changed.
        IntegrationError: what serves is not installed.
    """
    name = choice.environment
    environment = open_environment(directory, name) if name is not None else Environment(schema_version=1)
    root = stage.workspace.root
    if choice.tree:
        served, known = _tree(root)
        same = True
    else:
        version = choice.release or environment.release or LATEST
        served, known, same = _release(directory, version, choice.store, root)
    load = environment.probes.load
    requests = environment.probes.contract.requests if choice.requests is None else choice.requests
    rows = choice.rows
    if choice.quick:
        load = load.model_copy(update={"seconds": min(load.seconds, _QUICK_SECONDS)})
        requests, rows = min(requests, _QUICK_REQUESTS), min(rows, _QUICK_ROWS)

    def compare(client: ServiceClient) -> Verdict:
        return check_served(
            stage, open_model_format(root), rows=rows, scorer=HttpScorer(client), tolerance=known.tolerance
        )

    return ServiceTools(
        release=served,
        runtime=environment.runtime,
        load=load,
        requests=requests,
        seed=choice.seed,
        known=known,
        # Another tree's holdout was scored by another model.
        compare=compare if same else None,
        starter=ServedProcess(),
        open_variables=lambda: _variables(stage),
        open_client=open_client,
        generator=open_load_generator(),
        fuzzer=open_fuzzer(),
        sender=open_hostile_sender(),
        clock=time.monotonic,
        sleep=time.sleep,
        progress=stage.progress,
    )


@contextlib.contextmanager
def _variables(stage: Stage) -> Iterator[Mapping[str, str]]:
    """A store of its own, filled from the tree's tables, and a log of predictions that nobody keeps."""
    with tempfile.TemporaryDirectory(prefix="gitrain-service-") as folder:
        url = f"sqlite:///{folder}/online.sqlite"
        store = open_online_store(url, stage.workspace.root)
        try:
            materialize_features(stage, store, clock=lambda: datetime.now(UTC))
        finally:
            store.close()
        yield {"GITRAIN_ONLINE_STORE": url, "GITRAIN_PREDICTION_LOG": f"{folder}/predictions"}


def _tree(root: Path) -> tuple[ServedRelease, KnownAnswers]:
    service = Bentofile.parse(_text(root / BENTOFILE)).service
    manifest = parse_json(ServingManifest, _text(root / SERVING_MANIFEST), source=SERVING_MANIFEST)
    lock = root / REQUIREMENTS
    served = ServedRelease(
        name="this tree",
        folder=root,
        command=_command(service),
        paths=(root / "src", root),
        facts={
            "released": False,
            "model_digest": manifest.model_digest,
            "served_digest": manifest.digest,
            "served_format": manifest.format,
        },
        built_for=BuiltFor(
            python=f"{sys.version_info.major}.{sys.version_info.minor}",
            machine=platform.machine(),
            libraries=_libraries(_text(lock), REQUIREMENTS) if lock.is_file() else {},
        ),
    )
    return served, parse_json(KnownAnswers, _text(root / KNOWN_ANSWERS), source=KNOWN_ANSWERS)


def _release(directory: str, version: str, store: str | None, root: Path) -> tuple[ServedRelease, KnownAnswers, bool]:
    found = fetch(directory, version, store)
    inside = found.folder / "src"
    identity = parse_json(ReleaseIdentity, _text(inside / IDENTITY), source=IDENTITY)
    served = ServedRelease(
        name=f"release {identity.version}",
        folder=inside,
        command=_command(str(found.folder)),
        paths=(),
        facts={
            name: value
            for name, value in found.record.identity.model_dump(mode="json").items()
            if name != "schema_version"
        },
        built_for=BuiltFor(
            python=found.record.python,
            machine=found.record.machine,
            libraries=_libraries(_text(found.folder / _OWN_REQUIREMENTS), _OWN_REQUIREMENTS),
        ),
    )
    lock = root / LOCK
    same = lock.is_file() and digest_of_file(lock) == identity.lock_digest
    known = parse_json(KnownAnswers, _text(inside / KNOWN_ANSWERS), source=KNOWN_ANSWERS)
    return served, known, same


def _command(target: str) -> tuple[str, ...]:
    plain = target.replace("{", "{{").replace("}", "}}")
    return (sys.executable, "-m", "bentoml", "serve", plain, "--host", "127.0.0.1", "--port", "{port}")


def _libraries(text: str, source: str) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for entry in parse_requirements(text, source=source):
        found[entry.name] = found.get(entry.name, frozenset()) | {entry.version}
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"{path} is missing", fix="run `dvc repro`, or `dvc pull` what has been run.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}", fix="restore the file.") from error
