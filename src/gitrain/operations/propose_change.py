"""Propose a change of one environment's file, once it was judged."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gitrain.deployment.difference import ReleaseDifference
from gitrain.deployment.record import RunningRelease
from gitrain.environments.document import Environment, environment_path
from gitrain.environments.edit import Value, with_values
from gitrain.environments.forge import Change, Forge, ForgeHead, Proposal, ProposalState
from gitrain.release.versions import Version
from gitrain.reports.environments_markdown import render_proposal_body
from gitrain.verdicts import Outcome, Verdict, worst

__all__ = ["ProposedChange", "Request", "desired_release", "propose_change"]

_SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ProposedChange:
    """What became of a change.

    Attributes:
        environment: its name.
        former: the release that is desired before it.
        release: the release that is desired after it.
        verdicts: of the rules.
        changed: what changes, as lines of a unified diff; empty if the file says so already.
        difference: between the two releases; None if they are the same.
        proposal: where it waits for review; None if it is not proposed.
        superseded: the proposals that were withdrawn because this one takes their place.
    """

    environment: str
    former: RunningRelease | None
    release: RunningRelease | None
    verdicts: tuple[Verdict, ...]
    changed: str = ""
    difference: ReleaseDifference | None = None
    proposal: Proposal | None = None
    superseded: tuple[Proposal, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The worst of the verdicts."""
        return worst(verdict.outcome for verdict in self.verdicts)

    def to_json(self) -> dict[str, object]:
        """JSON-serialisable values: what `gitrain env promote --json` prints."""
        proposal = self.proposal
        return {
            "schema_version": _SCHEMA_VERSION,
            "environment": self.environment,
            "former": self.former.model_dump(mode="json") if self.former else None,
            "release": self.release.model_dump(mode="json") if self.release else None,
            "outcome": self.outcome.value,
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "changed": self.changed,
            "difference": self.difference.model_dump(mode="json") if self.difference else None,
            "proposal": None
            if proposal is None
            else {
                "branch": proposal.branch,
                "commit": proposal.commit,
                "state": proposal.state.value,
                "number": proposal.number,
                "url": proposal.url,
                "created": proposal.created,
            },
            "superseded": [
                {"branch": each.branch, "commit": each.commit, "number": each.number, "url": each.url}
                for each in self.superseded
            ],
        }


@dataclass(frozen=True, kw_only=True)
class Request:
    """A change that somebody wants.

    Attributes:
        environment: its name.
        branch: where it is to be proposed.
        values: what is set.
        title: one line.
        message: of the commit, below the title.
        summary: one sentence, for the pull request.
        verdicts: of the rules that were asked.
        difference: between the two releases; None if the release stays.
        dry_run: nothing is proposed.
        merge: it is merged at once, where no review stands in between.
        supersedes: what the branches of earlier proposals begin with whose place this one takes; a version follows, and
            those of later versions stay. None: it takes nobody's place.
    """

    environment: str
    branch: str
    values: Mapping[str, Value]
    title: str
    message: str
    summary: str
    verdicts: Sequence[Verdict]
    difference: ReleaseDifference | None = None
    dry_run: bool = False
    merge: bool = False
    supersedes: str | None = None


def desired_release(environment: Environment) -> RunningRelease | None:
    """The release that a file names; None if it names none."""
    if environment.release is None or environment.digest is None:
        return None
    return RunningRelease(version=environment.release, digest=environment.digest)


def propose_change(
    forge: Forge,
    head: ForgeHead,
    text: str,
    environment: Environment,
    request: Request,
) -> ProposedChange:
    """Propose what is wanted if every verdict passed: once, however often it is asked for.

    Args:
        forge: where.
        head: the default branch, which the change is made to.
        text: of the environment's file there.
        environment: what that says.
        request: what is wanted.

    Raises:
        SettingsError: the file is written in a way that cannot be edited.
        UsageError: `request.merge`, where merging is for reviewers.
        DeploymentError: the branch holds something else, or the change cannot be merged.
        IntegrationError: the forge cannot be reached or refuses.
    """
    name, path = request.environment, environment_path(request.environment)
    content = with_values(text, name, request.values)
    release = request.values.get("release", environment.release)
    digest = request.values.get("digest", environment.digest)
    changed = difflib.unified_diff(text.splitlines(), content.splitlines(), f"a/{path}", f"b/{path}", n=1, lineterm="")
    verdicts = list(request.verdicts)
    if content == text:
        verdicts.append(_verdict(name, Outcome.PASSED, f"{path} of {head.branch} says so already"))
    passed = worst(verdict.outcome for verdict in verdicts) is Outcome.PASSED
    proposal = None
    if content != text and passed and not request.dry_run:
        found = forge.find(request.branch)
        if found is not None and found.state is ProposalState.DECLINED:
            number = f"pull request {found.number}" if found.number else request.branch
            reason = f"{number} was closed without being merged: reopen it, or delete the branch {request.branch}"
            verdicts.append(_verdict(name, Outcome.FAILED, reason))
        else:
            proposal = _propose(forge, head, content, request)
    # What says so already may have been proposed by a run that was killed before it came to this.
    settled = passed and (proposal is not None or content == text) and not request.dry_run
    return ProposedChange(
        environment=name,
        former=desired_release(environment),
        release=RunningRelease(version=str(release), digest=str(digest)) if release and digest else None,
        verdicts=tuple(verdicts),
        changed="\n".join(changed),
        difference=request.difference,
        proposal=proposal,
        superseded=tuple(_supersede(forge, request, proposal)) if settled else (),
    )


def _supersede(forge: Forge, request: Request, proposal: Proposal | None) -> Iterator[Proposal]:
    """Withdraw what is proposed of earlier versions: merged after this one, it would go back unnoticed."""
    prefix = request.supersedes
    wanted = Version.parse(request.branch.removeprefix(prefix)) if prefix is not None else None
    if prefix is None or wanted is None:
        return
    place = (proposal.url or proposal.branch) if proposal is not None else environment_path(request.environment)
    for each in forge.waiting(prefix):
        version = Version.parse(each.branch.removeprefix(prefix))
        if version is None or not version < wanted:
            continue
        if forge.withdraw(each, f"{request.title} ({place}) takes the place of this."):
            yield each


def _propose(forge: Forge, head: ForgeHead, content: str, request: Request) -> Proposal:
    body = render_proposal_body(
        f"{request.environment}: may this be?", request.summary, request.verdicts, request.difference
    )
    change = Change(
        environment=request.environment,
        branch=request.branch,
        head=head,
        path=environment_path(request.environment),
        content=content,
        values=request.values,
        title=request.title,
        message=request.message,
        body=body,
    )
    proposal = forge.propose(change)
    return forge.merge(proposal, request.title) if request.merge else proposal


def _verdict(name: str, outcome: Outcome, reason: str) -> Verdict:
    return Verdict(name=f"{name}:proposal", outcome=outcome, reason=reason)
