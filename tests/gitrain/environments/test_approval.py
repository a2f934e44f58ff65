"""What an approval is worth: every setting spoilt in turn, and every flaw of a review."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from gitrain.environments.approval import judge_plan, judge_protection, judge_review, judge_rulesets, stand_on_review
from gitrain.environments.forge import Plan, Protection, Review, ReviewedChange, Ruleset, Unreadable
from gitrain.verdicts import Outcome

GUARDED = Protection(
    reviewers=("ada",), prevents_self_review=True, branches="protected", patterns=(), admins_bypass=False
)
DIGEST = f"sha256:{'a' * 64}"
VALUES = {"release": "1.4.0", "digest": DIGEST}
TEXT = f"schema_version: 1\nrelease: 1.4.0\ndigest: {DIGEST}\n"
HEAD = "c" * 40
CHANGE = ReviewedChange(
    number=7,
    url="https://github.test/7",
    author="bot",
    head=HEAD,
    content=TEXT,
    pushed_by=frozenset({"bot"}),
    reviews=(Review(reviewer="Ada", approved=True, commit=HEAD),),
)
RULES: dict[str, Any] = {
    "name": "main",
    "enforcement": "active",
    "bypass_actors": [],
    "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
    "rules": [
        {"type": "deletion"},
        {
            "type": "pull_request",
            "parameters": {"required_approving_review_count": 1, "allowed_merge_methods": ["merge", "squash"]},
        },
    ],
}
UNREADABLE = Unreadable(reason="it cannot be read (403)", fix="give it rights")


def failed(verdicts):
    return {verdict.name.partition(":")[2] for verdict in verdicts if verdict.outcome is not Outcome.PASSED}


def test_a_guarded_environment():
    assert failed(judge_protection("production", GUARDED, "GitHub")) == set()
    named = replace(GUARDED, branches="named", patterns=("main", "release/*"))
    assert failed(judge_protection("production", named, "GitHub")) == set()


@pytest.mark.parametrize(
    ("protection", "wrong"),
    [
        (None, {"environment"}),
        (UNREADABLE, {"environment"}),
        (Protection(), {"reviewers", "self-review", "branches", "bypass"}),
        (replace(GUARDED, reviewers=()), {"reviewers"}),
        (replace(GUARDED, prevents_self_review=False), {"self-review"}),
        (replace(GUARDED, branches="all"), {"branches"}),
        (replace(GUARDED, branches="named"), {"branches"}),
        (replace(GUARDED, branches="named", patterns=("main", "*")), {"branches"}),
        (replace(GUARDED, branches="named", patterns=("**/*",)), {"branches"}),
        (replace(GUARDED, admins_bypass=True), {"bypass"}),
        (replace(GUARDED, admins_bypass=None), {"bypass"}),
    ],
)
def test_a_setting_that_is_missing_fails(protection, wrong):
    assert failed(judge_protection("production", protection, "GitHub")) == wrong


@pytest.mark.parametrize(
    ("plan", "passes"),
    [
        (Plan(visibility="public", name=None), True),
        (Plan(visibility="internal", name=None), True),
        (Plan(visibility="private", name="enterprise"), True),
        (Plan(visibility="private", name="free"), False),
        (Plan(visibility="private", name="pro"), False),
        (Plan(visibility="private", name="team"), False),
        (Plan(visibility="private", name=None), False),
        (UNREADABLE, False),
    ],
)
def test_reviewers_do_something_on_some_plans(plan, passes):
    assert (judge_plan("production", plan).outcome is Outcome.PASSED) is passes


def judged(found):
    (verdict,) = judge_rulesets({".github/rulesets/main.json": RULES}, found)
    assert verdict.name == "rules:main"
    return verdict


def test_rules_that_are_those_of_the_file_or_stricter():
    given = copy.deepcopy(RULES) | {"id": 5, "source": "acme/tumours"}
    given["rules"].reverse()
    given["rules"].append({"type": "required_signatures"})
    given["rules"][0]["parameters"] |= {
        "allowed_merge_methods": ["squash", "merge"],
        "automatic_copilot_code_review_enabled": False,
    }
    assert judged([Ruleset(name="other", content={}), Ruleset(name="main", content=given)]).outcome is Outcome.PASSED


def spoilt(*path, value):
    given = copy.deepcopy(RULES)
    place: Any = given
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return given


@pytest.mark.parametrize(
    "given",
    [
        spoilt("enforcement", value="evaluate"),
        spoilt("enforcement", value=None),
        spoilt("bypass_actors", value=[{"actor_id": 1}]),
        # Who may not see it is not told it.
        spoilt("bypass_actors", value=None),
        spoilt("conditions", "ref_name", "include", value=["refs/heads/x"]),
        spoilt("conditions", "ref_name", "exclude", value=["~DEFAULT_BRANCH"]),
        spoilt("rules", 0, value=None),
        spoilt("rules", 1, "parameters", "required_approving_review_count", value=0),
        spoilt("rules", 1, "parameters", "required_approving_review_count", value=True),
        spoilt("rules", 1, "parameters", "allowed_merge_methods", value=["merge", "squash", "rebase"]),
        spoilt("rules", 1, "parameters", value=None),
        spoilt("rules", value="none"),
    ],
)
def test_rules_that_say_less_fail(given):
    assert judged([Ruleset(name="main", content=given)]).outcome is Outcome.FAILED


def test_rules_that_are_not_there_fail():
    assert judged([]).outcome is Outcome.FAILED
    assert judged(UNREADABLE).outcome is Outcome.FAILED
    assert [each.outcome for each in judge_rulesets({}, [])] == [Outcome.FAILED]


def reviewed(change, owners=("@ada",), members=("ada",)):
    changes = change if isinstance(change, Unreadable) else [change] if change else []
    return judge_review("production", VALUES, changes, owners, members)


def test_an_owners_review_of_the_last_commit_stands():
    verdict = reviewed(CHANGE)
    assert verdict.outcome is Outcome.PASSED
    assert verdict.figures == {"reviewer": "Ada"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (None, "no merged pull request"),
        (UNREADABLE, "cannot be read"),
        # Void: another digest, another release, or none.
        (replace(CHANGE, content=TEXT.replace("a" * 64, "b" * 64)), "void"),
        (replace(CHANGE, content=TEXT.replace("1.4.0", "1.4.1")), "void"),
        (replace(CHANGE, content=None), "void"),
        (replace(CHANGE, content="release: ["), "void"),
        (replace(CHANGE, head="d" * 40), "before its last commit"),
        (replace(CHANGE, author="ada"), "who wrote it"),
        (replace(CHANGE, pushed_by=frozenset({"ADA"})), "who wrote it"),
        (replace(CHANGE, reviews=()), "no owner of the file approved"),
        (replace(CHANGE, reviews=(Review(reviewer="eve", approved=True, commit=HEAD),)), "no owner"),
        (
            replace(CHANGE, reviews=(*CHANGE.reviews, Review(reviewer="bob", approved=False, commit=HEAD))),
            "asks for changes",
        ),
    ],
)
def test_a_review_that_stands_for_nothing(change, said):
    verdict = reviewed(change, owners=("@ada", "@bob"), members=("ada", "bob"))
    assert verdict.outcome is Outcome.FAILED
    assert said in verdict.reason


def test_a_file_that_nobody_owns_cannot_be_approved():
    assert reviewed(CHANGE, owners=()).outcome is Outcome.FAILED


def test_a_review_stands_in_for_settings_and_says_so():
    settings = judge_protection("production", replace(GUARDED, reviewers=()), "GitHub")
    standing = stand_on_review(settings, reviewed(CHANGE))
    assert failed(standing) == set()
    (verdict,) = (each for each in standing if each.name == "production:reviewers")
    assert verdict.waived is not None and "pull request 7" in verdict.waived
    assert verdict.reason.startswith("FAILED")
    # One that failed stands for nothing.
    assert failed(stand_on_review(settings, reviewed(None))) == {"reviewers", "review"}
