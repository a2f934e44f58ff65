"""Verify that an approval of an environment means something: ask the forge, and trust nothing that it does not say."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitrain.deployment.commits import CommitHistory, FileVersion
from gitrain.deployment.record import RunningRelease
from gitrain.environments.approval import judge_plan, judge_protection, judge_review, judge_rulesets, stand_on_review
from gitrain.environments.codeowners import PLACES, owners_of
from gitrain.environments.document import environment_path
from gitrain.environments.edit import has_values
from gitrain.environments.forge import Approvals
from gitrain.environments.order import last_environments
from gitrain.errors import SettingsError, UsageError
from gitrain.operations.propose_change import desired_release
from gitrain.operations.read_environments import read_environments
from gitrain.verdicts import Outcome, Verdict, worst

__all__ = ["RULESETS", "VerifiedEnvironment", "verify_environment"]

#: Where the rules for branches are kept as files.
RULESETS = ".github/rulesets"

_SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class VerifiedEnvironment:
    """What was found out about the approvals of an environment.

    Attributes:
        environment: its name.
        release: what its file names; None if nothing.
        verdicts: of the forge's settings, and of the review where it had to stand in.
        approved_by: who reviewed it, where the review stood in.
    """

    environment: str
    release: RunningRelease | None
    verdicts: tuple[Verdict, ...]
    approved_by: str | None = None

    @property
    def outcome(self) -> Outcome:
        """The worst of the verdicts."""
        return worst(verdict.outcome for verdict in self.verdicts)

    def to_json(self) -> dict[str, object]:
        """JSON-serialisable values: what `gitrain env verify --json` prints a list of."""
        return {
            "schema_version": _SCHEMA_VERSION,
            "environment": self.environment,
            "release": self.release.model_dump(mode="json") if self.release else None,
            "outcome": self.outcome.value,
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "approved_by": self.approved_by,
        }


def verify_environment(
    history: CommitHistory, approvals: Approvals, name: str | None = None, *, commit: str = "HEAD"
) -> list[VerifiedEnvironment]:
    """Ask the forge what an approval of an environment is worth.

    Settings come first: reviewers, no self-review, branches, administrators, the plan, the rules for branches. Where
    one of them fails, a review can stand in: of the pull request that brought in exactly this digest, by an owner of
    the file who is not its author, and of its last commit.

    Args:
        history: of the repository.
        approvals: what the forge knows.
        name: of the environment; by default all that promote from another and that none promotes from.
        commit: whose files count.

    Raises:
        UsageError: there is no such commit or environment.
        SettingsError: a file says something impossible.
        PipelineError: Git cannot read the repository.
    """
    at = history.resolve(commit)
    if at is None:
        raise UsageError(f"Git knows no commit {commit!r} here", fix="fetch it: `git fetch origin`.")
    files = read_environments(history, at)
    names = last_environments(files.environments) if name is None else [name]
    if not names:
        raise UsageError("no environment here promotes from another", fix="name one: `gitrain env verify NAME`.")
    rules = judge_rulesets(_rulesets(history, at), approvals.rulesets())
    found = []
    for each in names:
        release = desired_release(files.require(each))
        settings = judge_protection(each, approvals.protection(each), approvals.name)
        verdicts = [*settings, judge_plan(each, approvals.plan()), *rules]
        approved_by = None
        if worst(verdict.outcome for verdict in verdicts) is not Outcome.PASSED:
            review = _review(history, approvals, each, release, at)
            verdicts = stand_on_review(verdicts, review)
            approved_by = str(review.figures["reviewer"]) if review.outcome is Outcome.PASSED else None
        found.append(
            VerifiedEnvironment(environment=each, release=release, verdicts=tuple(verdicts), approved_by=approved_by)
        )
    return found


def _review(
    history: CommitHistory, approvals: Approvals, name: str, release: RunningRelease | None, commit: str
) -> Verdict:
    if release is None:
        reason = "the file names no release, so there is nothing that could have been approved"
        return Verdict(name=f"{name}:review", outcome=Outcome.FAILED, reason=reason)
    values = {"release": release.version, "digest": release.digest}
    path = environment_path(name)
    brought, before = _brought_in(history, name, values, commit)
    if brought is None:
        reason = "Git does not say which commit brought this digest in: fetch the whole history"
        return Verdict(name=f"{name}:review", outcome=Outcome.FAILED, reason=reason)
    changes = approvals.changes(brought.commit, path)
    # As they were before the change: nobody makes themselves an owner of what they propose.
    owners = owners_of(_code_owners(history, before or brought.commit), path)
    logins = (
        sorted({review.reviewer for change in changes for review in change.reviews})
        if isinstance(changes, list | tuple)
        else []
    )
    return judge_review(name, values, changes, owners, approvals.members(owners, logins))


def _brought_in(
    history: CommitHistory, name: str, values: Mapping[str, str | bool], commit: str
) -> tuple[FileVersion | None, str | None]:
    """The commit of the main line since which the file says this, and the commit before it."""
    found: FileVersion | None = None
    for version in history.versions(environment_path(name), commit=commit, main_line=True):
        if version.text is None or not has_values(version.text, name, values):
            break
        found = version
    return found, history.resolve(f"{found.commit}^1") if found is not None else None


def _code_owners(history: CommitHistory, commit: str) -> str:
    texts = (history.read(commit, place) for place in PLACES)
    return next((text for text in texts if text is not None), "")


def _rulesets(history: CommitHistory, commit: str) -> dict[str, Mapping[str, Any]]:
    """The rules that the repository keeps as files."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in history.files(commit, RULESETS):
        if not path.endswith(".json"):
            continue
        try:
            content = json.loads(history.read(commit, path) or "")
        except ValueError as error:
            raise SettingsError(f"{path} is not valid JSON: {error}", fix="correct the syntax.") from error
        if not isinstance(content, dict) or not isinstance(content.get("name"), str):
            raise SettingsError(f"{path} holds no rules with a name", fix="export the rules from the forge again.")
        found[path] = content
    return found
