"""Whether an approval means something: what guards an environment, and who reviewed the digest that is to run."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gitrain.environments.edit import Value, has_values
from gitrain.environments.forge import Plan, Protection, ReviewedChange, Ruleset, Unreadable
from gitrain.verdicts import Outcome, Verdict

__all__ = ["judge_plan", "judge_protection", "judge_review", "judge_rulesets", "stand_on_review"]

_TOLD = 5
# Patterns that every branch's name matches, or nearly so.
_ANY_BRANCH = {"*", "**", "**/*", "*/*"}
# Where the forge is GitHub: required reviewers of private repositories need the plan for enterprises.
_PLANS_WITH_REVIEWERS = {"enterprise", "business_plus"}


def judge_protection(name: str, protection: Protection | Unreadable | None, forge: str) -> list[Verdict]:
    """Whether somebody else has to approve before a job runs in an environment. What is not known counts as not there.

    Args:
        name: the environment's name.
        protection: what the forge says; None if it has no such environment.
        forge: its name, for messages.
    """
    if isinstance(protection, Unreadable):
        return [_failed(name, "environment", f"{protection.reason}: {protection.fix}")]
    if protection is None:
        reason = (
            f"{forge} has no environment {name}, and would make a bare one for the first job that names it: make it "
            "there, with required reviewers"
        )
        return [_failed(name, "environment", reason)]
    reviewers, branches = ", ".join(protection.reviewers), ", ".join(protection.patterns)
    loose = [pattern for pattern in protection.patterns if pattern in _ANY_BRANCH]
    if protection.branches == "all":
        from_branches = _failed(
            name, "branches", "a job of any branch may run in it: allow protected branches or named ones alone"
        )
    elif protection.branches == "named" and (loose or not protection.patterns):
        said = f"{loose[0]!r} names all of them" if loose else "none is named"
        from_branches = _failed(name, "branches", f"branches are to be named, and {said}: name the default branch")
    else:
        said = "protected branches alone" if protection.branches == "protected" else f"only from {branches}"
        from_branches = _passed(name, "branches", f"jobs may run from {said.removeprefix('only from ')}")
    return [
        _passed(name, "environment", f"{forge} has the environment {name}"),
        _passed(name, "reviewers", f"one of {reviewers} has to approve")
        if protection.reviewers
        else _failed(name, "reviewers", "nobody has to approve: require reviewers in its settings"),
        _passed(name, "self-review", "who starts a deployment cannot approve it")
        if protection.prevents_self_review
        else _failed(name, "self-review", "who starts a deployment may approve it: prevent self-review"),
        from_branches,
        _bypass(name, protection.admins_bypass),
    ]


def judge_plan(name: str, plan: Plan | Unreadable) -> Verdict:
    """Whether reviewers of an environment do anything: they do where the repository is public, or the plan has them."""
    if isinstance(plan, Unreadable):
        return _failed(name, "plan", f"{plan.reason}: {plan.fix}")
    if plan.visibility == "public":
        return _passed(name, "plan", "the repository is public: reviewers are asked on every plan")
    if plan.visibility == "internal" or plan.name in _PLANS_WITH_REVIEWERS:
        return _passed(name, "plan", f"the repository is {plan.visibility}, and the plan asks reviewers there")
    if plan.name is None:
        reason = (
            f"the repository is {plan.visibility}, and the forge does not say what its plan does with reviewers: let "
            "the token read the organisation's plan, or have a code owner review the pull request"
        )
    else:
        reason = (
            f"the repository is {plan.visibility}, and on the plan {plan.name!r} required reviewers do nothing there: "
            "have a code owner review the pull request"
        )
    return _failed(name, "plan", reason)


def judge_rulesets(expected: Mapping[str, Mapping[str, Any]], found: Sequence[Ruleset] | Unreadable) -> list[Verdict]:
    """Whether the rules for branches are those that the repository keeps as files; stricter ones are fine.

    Args:
        expected: the content of the files, by their paths.
        found: what the forge says.
    """
    if not expected:
        return [_rules("none", Outcome.FAILED, "the repository keeps no rules for its branches as files")]
    if isinstance(found, Unreadable):
        return [_rules(path, Outcome.FAILED, f"{found.reason}: {found.fix}") for path in expected]
    by_name = {ruleset.name: ruleset.content for ruleset in found}
    verdicts = []
    for path, wanted in expected.items():
        name = str(wanted.get("name"))
        if name not in by_name:
            reason = f"the forge has no rules {name!r}: import {path} in the settings of the repository"
            verdicts.append(_rules(path, Outcome.FAILED, reason))
            continue
        differences = _differences(wanted, by_name[name], "")
        if differences:
            more = f", and {len(differences) - _TOLD} more" if len(differences) > _TOLD else ""
            reason = f"the rules {name!r} differ: {'; '.join(differences[:_TOLD])}{more}: import {path} again"
            verdicts.append(_rules(path, Outcome.FAILED, reason))
        else:
            verdicts.append(_rules(path, Outcome.PASSED, f"the rules {name!r} are those of {path}"))
    return verdicts


def judge_review(
    name: str,
    values: Mapping[str, Value],
    changes: Sequence[ReviewedChange] | Unreadable,
    owners: Collection[str],
    members: Collection[str],
) -> Verdict:
    """Whether an owner of the environment's file, who is not its author, reviewed exactly what is to run.

    The pull request's last commit has to hold the very release and digest, and the approval has to be of that commit:
    with another digest it is void.

    Args:
        name: the environment's name.
        values: the release and the digest that are to run.
        changes: the pull requests that brought them in.
        owners: of the file, as CODEOWNERS names them.
        members: logins that are owners.
    """
    if isinstance(changes, Unreadable):
        return _failed(name, "review", f"{changes.reason}: {changes.fix}")
    if not owners:
        return _failed(name, "review", "nobody owns the environment's file: name owners in CODEOWNERS")
    if not changes:
        return _failed(name, "review", "no merged pull request brought this digest in: promote it by one")
    problems = []
    for change in changes:
        problem, reviewer = _reviewed(name, values, change, members)
        if problem is None:
            said = f"pull request {change.number} of {change.author}, approved by {reviewer}, holds this digest"
            return Verdict(name=f"{name}:review", outcome=Outcome.PASSED, reason=said, figures={"reviewer": reviewer})
        problems.append(f"pull request {change.number}: {problem}")
    told = f"{'; '.join(problems[:_TOLD])}: an owner of the file ({', '.join(sorted(owners))}) has to approve it"
    return _failed(name, "review", told)


def stand_on_review(verdicts: Sequence[Verdict], review: Verdict) -> list[Verdict]:
    """What guards an environment, and the review that stands in for what is missing of it, if it passed."""
    if review.outcome is not Outcome.PASSED:
        return [*verdicts, review]
    standing = [
        verdict
        if verdict.outcome is Outcome.PASSED
        else replace(
            verdict,
            outcome=Outcome.PASSED,
            reason=f"{verdict.outcome.value}, and a review stands in: {verdict.reason}",
            waived=review.reason,
        )
        for verdict in verdicts
    ]
    return [*standing, review]


def _reviewed(
    name: str, values: Mapping[str, Value], change: ReviewedChange, members: Collection[str]
) -> tuple[str | None, str | None]:
    """What is wrong with a review, or who approved."""
    if change.content is None or not has_values(change.content, name, values):
        return "its last commit holds another digest, so what was approved is void", None
    owning = {member.lower() for member in members}
    theirs = {change.author.lower(), *(login.lower() for login in change.pushed_by)}
    by_owners = [review for review in change.reviews if review.reviewer.lower() in owning]
    if any(not review.approved for review in by_owners):
        return "an owner asks for changes", None
    approved = [review for review in by_owners if review.commit == change.head]
    others = [review for review in approved if review.reviewer.lower() not in theirs]
    if others:
        return None, others[0].reviewer
    if approved:
        return "who wrote it approved it", None
    if by_owners:
        return "it was approved before its last commit", None
    return "no owner of the file approved it", None


def _bypass(name: str, bypass: bool | None) -> Verdict:
    if bypass is None:
        return _failed(name, "bypass", "the forge does not say whether administrators need an approval")
    if bypass:
        return _failed(name, "bypass", "administrators need no approval: forbid them to bypass its rules")
    return _passed(name, "bypass", "administrators need an approval too")


def _differences(wanted: object, found: object, place: str) -> list[str]:
    """Where what is found says less than what is wanted; what it says beyond that is its own."""
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping):
            return [_difference(place, wanted, found)]
        told = []
        for key, value in wanted.items():
            where = f"{place}.{key}" if place else str(key)
            told += _differences(value, found[key], where) if key in found else [f"{where} is not told"]
        return told
    if isinstance(wanted, list) and isinstance(found, list):
        if all(isinstance(each, Mapping) and "type" in each for each in wanted) and wanted:
            by_type = {each.get("type"): each for each in found if isinstance(each, Mapping)}
            told = []
            for each in wanted:
                kind = each["type"]
                where = f"{place}.{kind}"
                told += _differences(each, by_type[kind], where) if kind in by_type else [f"{where} is missing"]
            return told
        # Neither the order of branches nor that of checks means anything.
        same = len(wanted) == len(found) and all(
            any(not _differences(each, other, "") for other in found) for each in wanted
        )
        return [] if same else [_difference(place, wanted, found)]
    return [] if wanted == found and type(wanted) is type(found) else [_difference(place, wanted, found)]


def _difference(place: str, wanted: object, found: object) -> str:
    return f"{place} is {str(found)[:80]}, wanted {str(wanted)[:80]}"


def _passed(name: str, rule: str, reason: str) -> Verdict:
    return Verdict(name=f"{name}:{rule}", outcome=Outcome.PASSED, reason=reason)


def _failed(name: str, rule: str, reason: str) -> Verdict:
    return Verdict(name=f"{name}:{rule}", outcome=Outcome.FAILED, reason=reason)


def _rules(path: str, outcome: Outcome, reason: str) -> Verdict:
    stem = path.rpartition("/")[2].removesuffix(".json")
    return Verdict(name=f"rules:{stem}", outcome=outcome, reason=reason)
