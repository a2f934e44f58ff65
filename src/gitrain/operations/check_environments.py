"""Check a change of environments' files, whoever made it: by the rules that a promotion is judged by."""

from collections.abc import Mapping

from gitrain.deployment.promotion import goes_back, judge_promotion, judge_rollback
from gitrain.environments.document import Environment, environment_path
from gitrain.environments.order import judge_order
from gitrain.errors import UsageError
from gitrain.operations.judge_environment import EnvironmentTools, gather_case
from gitrain.operations.propose_change import desired_release
from gitrain.operations.read_environments import EnvironmentFiles, read_environments
from gitrain.verdicts import Outcome, Verdict

__all__ = ["check_environments"]

# What a promotion is judged by: whoever changes that does not change the release with it.
_RULES = ("follows", "promotes_from", "gates")


def check_environments(tools: EnvironmentTools, *, base: str, head: str = "HEAD") -> list[Verdict]:
    """Judge what a commit makes of environments' files, by the rules as they were before.

    Args:
        tools: what is known of releases and of what has run.
        base: the commit to compare with, e.g. ``origin/main``.
        head: the commit that is judged.

    Raises:
        UsageError: one of the two is no commit, or they have nothing in common.
        SettingsError: a file says something impossible.
        IntegrationError, PipelineError: Git or a store is in the way.
    """
    history = tools.history
    for ref in (base, head):
        if history.resolve(ref) is None:
            raise UsageError(f"Git knows no commit {ref!r} here", fix="fetch it: `git fetch origin`.")
    common = history.merge_base(base, head)
    if common is None:
        raise UsageError(f"{base} and {head} have no commit in common", fix="fetch the whole history.")
    before, after = read_environments(history, common), read_environments(history, history.resolve(head) or head)
    names = [name for name in {**before.texts, **after.texts} if before.texts.get(name) != after.texts.get(name)]
    if not names:
        reason = "no environment's file changes"
        return [Verdict(name="environments:changes", outcome=Outcome.PASSED, reason=reason)]
    return [verdict for name in sorted(names) for verdict in _judge(tools, name, before, after)]


def _judge(tools: EnvironmentTools, name: str, before: EnvironmentFiles, after: EnvironmentFiles) -> list[Verdict]:
    old, new = before.environments.get(name), after.environments.get(name)
    if new is None:
        return [_removed(name, after)]
    # A new environment brings its own rules.
    rules: Mapping[str, Environment] = before.environments if old is not None else after.environments
    wanted, present = desired_release(new), desired_release(old) if old is not None else None
    verdicts = [judge_order(name, after.environments)]
    if old is not None:
        verdicts.append(_rules(name, old, new, released=wanted != present))
    if wanted is None and present is not None:
        reason = f"{environment_path(name)} names no release any more: go back to one, or suspend the environment"
        verdicts.append(Verdict(name=f"{name}:release", outcome=Outcome.FAILED, reason=reason))
    if wanted is None or wanted == present:
        return verdicts
    records = list(tools.records.list())
    case = gather_case(tools, name, rules, wanted.version, wanted.digest, records)
    if case is None:
        raise AssertionError("a digest was given")
    here = [record for record in records if record.environment == name]
    judged = judge_rollback(case) if goes_back(here, present, wanted) else judge_promotion(case)
    known = {verdict.name for verdict in verdicts}
    return [*verdicts, *(verdict for verdict in judged if verdict.name not in known)]


def _rules(name: str, old: Environment, new: Environment, *, released: bool) -> Verdict:
    changed = [key for key in _RULES if getattr(old, key) != getattr(new, key)]
    said = "; ".join(f"{key} from {_shown(getattr(old, key))} to {_shown(getattr(new, key))}" for key in changed)
    if old.follows is None and new.follows is not None:
        reason = f"{name} would follow {new.follows} and be promoted to no more: add another environment for that"
        return Verdict(name=f"{name}:rules", outcome=Outcome.FAILED, reason=reason)
    if changed and released:
        reason = (
            f"the release changes together with the rules that it is judged by ({said}): propose one after the other"
        )
        return Verdict(name=f"{name}:rules", outcome=Outcome.FAILED, reason=reason)
    if changed:
        return Verdict(name=f"{name}:rules", outcome=Outcome.PASSED, reason=f"the rules of promotions change: {said}")
    return Verdict(name=f"{name}:rules", outcome=Outcome.PASSED, reason="the rules of promotions stay")


def _removed(name: str, after: EnvironmentFiles) -> Verdict:
    behind = sorted(other for other, each in after.environments.items() if each.promotes_from == name)
    if behind:
        reason = f"{', '.join(behind)} promotes from {name}, which would be gone"
        return Verdict(name=f"{name}:order", outcome=Outcome.FAILED, reason=reason)
    return Verdict(name=f"{name}:order", outcome=Outcome.PASSED, reason=f"{name} is removed, and none promotes from it")


def _shown(value: object) -> str:
    dump = getattr(value, "model_dump", None)
    return "nothing" if value is None else str(dump() if dump else value)
