"""What the steps of a rehearsal share: the tools, the scratch repositories, and what has happened so far."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from gitrain.errors import IntegrationError
from gitrain.operations.rehearsal.plan import RehearsalPlan
from gitrain.pipeline.rehearsal import Traffic
from gitrain.pipeline.shell import CommandResult, Shell
from gitrain.pipeline.workspace import Workspace
from gitrain.verdicts import Figure, Outcome

__all__ = ["FORGE", "REPOSITORY", "REVIEW", "Done", "RehearsalTools", "Scene"]

#: Folders below the scratch folder: the bare repository, a person's clone, and the clone that a pull request is judged
#: in.
FORGE, REPOSITORY, REVIEW = "forge.git", "repository", "review"

# Nothing that a reader would want to know.
_UNSAID = {("git", "add"), ("git", "config"), ("git", "ls-files"), ("git", "rev-parse")}


@dataclass(frozen=True, kw_only=True)
class RehearsalTools:
    """What a rehearsal is given.

    Attributes:
        source: the repository that is rehearsed; it is cloned and otherwise left alone.
        reference: its project object, ``package.module:NAME``.
        service: the service that releases hold, ``package.module:NAME``; None where there is none.
        commands: runs commands in a folder below the scratch folder.
        files: the files of a folder below the scratch folder.
        prepare: gives a clone what its machine has already: DVC's cache, finished batches.
        share: lets a second clone use the cache of the first.
        traffic: the users.
        approve: asks a person to approve a sentence, and gives their name. Raises UsageError where nobody can be
            asked or somebody says no.
        ports: so many free ports of the loopback interface.
        beside: runs a function while the rehearsal goes on.
        today: the day that waivers are counted from.
        clock: seconds that only grow.
        progress: is told what goes on.
    """

    source: str
    reference: str
    service: str | None
    commands: Callable[[str], Shell]
    files: Callable[[str], Workspace]
    prepare: Callable[[str], None]
    share: Callable[[str, str], None]
    traffic: Traffic
    approve: Callable[[str], str]
    ports: Callable[[int], Sequence[int]]
    beside: Callable[[Callable[[], "Done"]], "Future[Done]"]
    today: Callable[[], date]
    clock: Callable[[], float]
    progress: Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a step came to.

    Attributes:
        said: what happened, a sentence each.
        outcome: PASSED: what it proves is so.
        figures: the numbers behind it.
    """

    said: tuple[str, ...]
    outcome: Outcome = Outcome.PASSED
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass
class Scene:
    """A rehearsal while it goes on.

    Attributes:
        tools: what it is given.
        plan: what it will do.
        ports: of the environments.
        since: the first batch that online stores hold.
        newest: the newest batch of the last model that was trained.
        filled: of each environment, the newest batch that its online store holds.
        versions: the releases that production ran, in order.
        leak: what comes of the pull request with a leak, once that has been opened.
        where: what to look at.
        over: nothing is begun any more: what goes on beside ends with the command that runs.
    """

    tools: RehearsalTools
    plan: RehearsalPlan
    ports: dict[str, int] = field(default_factory=dict)
    since: str | None = None
    newest: str | None = None
    filled: dict[str, str] = field(default_factory=dict)
    versions: list[str] = field(default_factory=list)
    leak: "Future[Done] | None" = None
    where: list[tuple[str, str]] = field(default_factory=list)
    over: bool = False

    def run(
        self, *command: str, folder: str = REPOSITORY, accept: Sequence[int] = (0,), capture: bool = False
    ) -> CommandResult:
        """Run a command to its end.

        Raises:
            IntegrationError: it ended with a code that is not accepted, or the rehearsal is over.
        """
        if self.over:
            raise IntegrationError(
                f"`{' '.join(command)}` was not begun: the rehearsal is over", fix="look at the step that ended it."
            )
        # What goes on in the second clone would stand between the lines of the first.
        if folder != REVIEW and command[:2] not in _UNSAID:
            self.tools.progress("$ " + " ".join(command))
        result = self.tools.commands(folder).run(command, capture=capture)
        if result.exit_code not in accept:
            raise IntegrationError(
                f"`{' '.join(command)}` ended with exit code {result.exit_code}",
                fix="look at the end of log.txt in the scratch folder, which is left as it is.",
            )
        return result

    def git(self, *arguments: str, folder: str = REPOSITORY) -> str:
        """Run Git; what it prints, without the spaces around it."""
        return self.run("git", *arguments, folder=folder, capture=True).stdout.strip()

    def ask(self, *arguments: str, folder: str = REPOSITORY, accept: Sequence[int] = (0,)) -> tuple[int, Any]:
        """Run `gitrain ... --json`; its exit code, and what it says.

        Raises:
            IntegrationError: it ended with a code that is not accepted, or printed no JSON.
        """
        result = self.run("gitrain", *arguments, "--json", folder=folder, accept=accept, capture=True)
        try:
            return result.exit_code, json.loads(result.stdout)
        except ValueError as error:
            raise IntegrationError(
                f"`gitrain {' '.join(arguments)} --json` printed no JSON", fix="look at log.txt in the scratch folder."
            ) from error

    def commit(self, message: str, *paths: str, folder: str = REPOSITORY) -> str:
        """Commit paths, all by default; the commit."""
        self.git("add", *(paths or ("--all",)), folder=folder)
        self.git("commit", "--quiet", "--allow-empty", "-m", message, folder=folder)
        return self.git("rev-parse", "HEAD", folder=folder)

    @property
    def root(self) -> str:
        """The scratch folder, absolute."""
        return str(self.tools.files(".").root)

    @property
    def production(self) -> str:
        """The release that production runs."""
        return self.versions[-1]
