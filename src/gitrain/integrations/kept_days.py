"""Days that have counted, as JSON files of one folder: a file for each set of rules, so that no two are mixed."""

from collections.abc import Callable
from pathlib import Path

from gitrain.documents import parse_json
from gitrain.errors import SettingsError
from gitrain.integrations.files import replacing
from gitrain.monitoring.kept_days import KeptDays

__all__ = ["KeptDaysFiles"]


class KeptDaysFiles:
    """The days that an environment's looks have counted.

    Args:
        folder: of its monitoring; made when it is needed.
        say: is told of files that cannot be read or written.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._unread: set[str] = set()

    def read(self, rules: str) -> KeptDays:
        """What was kept under some rules. A damaged file is told and holds nothing: it will be made anew."""
        path = self._path(rules)
        nothing = KeptDays(schema_version=1, rules=rules)
        try:
            found = parse_json(KeptDays, path.read_text(encoding="utf-8"), source=path.name)
        except FileNotFoundError:
            return nothing
        except OSError as error:
            self._unread.add(rules)
            self._say(f"{path} cannot be read: {error.strerror}; days that the log no longer holds are left out")
            return nothing
        except (SettingsError, ValueError) as error:
            what = error.what if isinstance(error, SettingsError) else "it is no UTF-8 text"
            self._say(f"{path} is damaged, and is made anew from what the log holds: {what}")
            return nothing
        if found.rules != rules:
            self._say(f"{path} is damaged, and is made anew from what the log holds: its days are of other rules")
            return nothing
        return found

    def write(self, days: KeptDays) -> None:
        """Replace the file in one step. One that could not be read is left alone: it may be whole."""
        path = self._path(days.rules)
        if days.rules in self._unread:
            return
        try:
            # How good a model is in service is nobody else's business.
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with replacing(path) as stream:
                stream.write((days.model_dump_json() + "\n").encode())
        except OSError as error:
            self._say(
                f"{path} cannot be written: {error.strerror}; make room before the log drops the days that it holds"
            )

    def _path(self, rules: str) -> Path:
        return self._folder / f"days-{rules.removeprefix('sha256:')[:16]}.json"
