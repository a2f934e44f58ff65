"""What probes need: environments' files, known answers, and what sends requests."""

from collections.abc import Sequence
from pathlib import Path

from gitrain.documents import parse_json
from gitrain.environments.document import FOLDER, Environment, environment_path, parse_environment
from gitrain.errors import UsageError
from gitrain.integrations.http_client import HttpClient
from gitrain.integrations.raw_http import RawHttp
from gitrain.integrations.schemathesis import Schemathesis
from gitrain.pipeline.layout import KNOWN_ANSWERS
from gitrain.probes.client import LoadGenerator, ServiceClient
from gitrain.probes.fuzzing import Fuzzer
from gitrain.probes.hostile import HostileSender
from gitrain.probes.payloads import Payload, payloads_of, read_payloads
from gitrain.serving.manifest import KnownAnswers
from gitrain.settings import find_root

__all__ = [
    "open_client",
    "open_environment",
    "open_fuzzer",
    "open_hostile_sender",
    "open_known_answers",
    "open_load_generator",
    "open_payloads",
]


def open_environment(directory: str, name: str) -> Environment:
    """The environment of this name in the repository that `directory` lies in.

    Raises:
        SettingsError: there is no repository, or the file says something impossible.
        UsageError: there is no such environment.
    """
    root = find_root(Path(directory).resolve())
    path = root / environment_path(name)
    if not path.is_file():
        known = sorted(each.stem for each in (root / FOLDER).glob("*.yaml"))
        raise UsageError(
            f"there is no environment {name!r}: {environment_path(name)} is missing",
            fix=f"name one of these: {', '.join(known)}." if known else f"write {environment_path(name)}.",
        )
    return parse_environment(_text(path), name)


def open_known_answers(directory: str, file: str | None) -> KnownAnswers:
    """Rows whose answers are known: those of `file`, or those of the repository that `directory` lies in.

    Raises:
        SettingsError, UsageError: there is no such file, or it holds something else.
    """
    path = Path(file) if file is not None else find_root(Path(directory).resolve()) / KNOWN_ANSWERS
    return parse_json(KnownAnswers, _text(path), source=file or KNOWN_ANSWERS)


def open_payloads(directory: str, *, known: str | None, file: str | None, table: str) -> Sequence[Payload]:
    """What a load sends: the rows of `file`, as JSON lines, or those whose answers are known."""
    if file is not None:
        return read_payloads(_text(Path(file)), table, source=file)
    return payloads_of(open_known_answers(directory, known), table)


def open_client(url: str) -> ServiceClient:
    """Sends one request at a time."""
    return HttpClient(url=url)


def open_fuzzer() -> Fuzzer:
    """Makes requests up."""
    return Schemathesis()


def open_hostile_sender() -> HostileSender:
    """Sends bytes as they are."""
    return RawHttp()


def open_load_generator() -> LoadGenerator:
    """Sends requests when they are due."""
    # aiohttp takes a third of a second to import, and only this needs it.
    from gitrain.integrations.http_load import HttpLoad

    return HttpLoad()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fix = "run `gitrain export`, or name a file." if path.name == Path(KNOWN_ANSWERS).name else "name another file."
        raise UsageError(f"{path} cannot be read: {error}", fix=fix) from error
