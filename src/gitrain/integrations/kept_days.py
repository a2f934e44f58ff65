"""Days that have counted, as JSON files of one folder: a file for each log and each set of rules, so that no two mix.

What nobody reads any more goes. A file is read again when its rules are those of the project again, and these belong to
a model: so it is of use as long as any release of which it has days is in its log, or runs. One that has not been for
thirty days is removed by the next look that finds predictions; a log that is away, or empty, removes nothing, and as
long as any look a month finds it whole nothing is lost. Files of other logs are not this look's to judge: they stay for
a year after their last one.
"""

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from gitrain.documents import parse_json
from gitrain.errors import SettingsError
from gitrain.integrations.files import replacing
from gitrain.lineage import digest_of_value
from gitrain.monitoring.kept_days import KeptDays

__all__ = ["KeptDaysFiles"]

_DAY_SECONDS = 86_400.0
_UNUSED_DAYS = 30
_OF_OTHER_LOGS_DAYS = 365
# Nobody writes a file for so long: what is left of it was left by a run that was killed.
_HALF_WRITTEN_DAYS = 1


class KeptDaysFiles:
    """The days that an environment's looks at a log have counted.

    Args:
        folder: of its monitoring; made when it is needed.
        say: is told of files that cannot be read or written, and of days that are another log's.
        log: the folder of the predictions that are looked at.
        clock: seconds since the epoch, as files have them.
    """

    def __init__(
        self, folder: Path, say: Callable[[str], None], *, log: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._say = say
        self._log = str(log.resolve())
        self._clock = clock
        self._unread: set[str] = set()

    def read(self, rules: str) -> KeptDays:
        """What was kept under some rules. A damaged file is told and holds nothing: it will be made anew."""
        path = self._path(rules)
        nothing = KeptDays(schema_version=1, rules=rules)
        try:
            found = _parsed(path)
        except FileNotFoundError:
            self._tell_of_another_log(path, rules)
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
                stream.write((days.model_copy(update={"log": self._log}).model_dump_json() + "\n").encode())
        except OSError as error:
            self._say(
                f"{path} cannot be written: {error.strerror}; make room before the log drops the days that it holds"
            )

    def tidy(self, releases: Collection[str]) -> None:
        """Remove what nobody reads any more, and what killed runs left half written; what cannot be removed stays.

        Args:
            releases: those that this log has predictions of, and the one that runs.
        """
        for path in self._files(".days-*.part"):
            if self._age(path) > _HALF_WRITTEN_DAYS:
                _remove(path)
        for path in self._files("days-*.json"):
            if not path.name.startswith(f"days-{self._of_log}-"):
                if self._age(path) > _OF_OTHER_LOGS_DAYS:
                    _remove(path)
            elif self._is_of_use(path, releases):
                # Its time tells when it was of use last.
                with contextlib.suppress(OSError):
                    os.utime(path, (self._clock(), self._clock()))
            elif self._age(path) > _UNUSED_DAYS:
                _remove(path)

    def _is_of_use(self, path: Path, releases: Collection[str]) -> bool:
        try:
            return any(part.release in releases for part in _parsed(path).parts)
        except OSError:
            return True  # it may be
        except (SettingsError, ValueError):
            return False

    def _files(self, pattern: str) -> Iterator[Path]:
        with contextlib.suppress(OSError):
            yield from sorted(path for path in self._folder.glob(pattern) if path.is_file())

    def _age(self, path: Path) -> float:
        """In days; of one that somebody else has removed meanwhile, none."""
        try:
            return (self._clock() - path.stat().st_mtime) / _DAY_SECONDS
        except OSError:
            return 0.0

    def _tell_of_another_log(self, path: Path, rules: str) -> None:
        # The former name does not say of which log a file is.
        for pattern in (f"days-*-{_short(rules)}.json", f"days-{_short(rules)}.json"):
            for other in self._files(pattern):
                try:
                    log = _parsed(other).log or "a log that they do not name"
                except (OSError, SettingsError, ValueError):
                    continue
                self._say(
                    f"the days that are kept are those of {log}, and this is a look at {self._log}: it begins a"
                    f" sequence of its own. If that is the same log, wherever it was, rename {other} to {path.name}"
                )

    @property
    def _of_log(self) -> str:
        return _short(digest_of_value(self._log))

    def _path(self, rules: str) -> Path:
        return self._folder / f"days-{self._of_log}-{_short(rules)}.json"


def _parsed(path: Path) -> KeptDays:
    return parse_json(KeptDays, path.read_text(encoding="utf-8"), source=path.name)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:16]
