"""GitHub: pull requests opened once, settings read, refusals told; against a small server with Git behind it."""

import dataclasses
import threading

import pytest
from starlette.responses import JSONResponse
from tests.gitrain.fake_github import REPOSITORY, FakeGitHub, serving
from tests.gitrain.forge import PREPROD, forge_at, git

from gitrain.environments.forge import Change, Plan, ProposalState, Protection, Unreadable
from gitrain.errors import DeploymentError, IntegrationError, UsageError
from gitrain.integrations.git_remote import GitRemote
from gitrain.integrations.github import GitHubForge

TOKEN = "ghs_a-secret-token"
PLACE = f"/repos/{REPOSITORY}"


@pytest.fixture
def forged(git_repository, tmp_path):
    return forge_at(git_repository, tmp_path)


@pytest.fixture
def fake(forged):
    with serving(FakeGitHub(forged.origin)) as fake:
        yield fake


@pytest.fixture
def waited():
    return []


@pytest.fixture
def forge(forged, fake, waited):
    return GitHubForge(GitRemote(forged.root), REPOSITORY, TOKEN, api=fake.url, pause=waited.append)


@pytest.fixture
def change(forge):
    def change():
        return Change(
            environment="preprod",
            branch="suspend/preprod",
            head=forge.head(),
            path="environments/preprod.yaml",
            content=PREPROD.replace("suspend: false", "suspend: true"),
            values={"suspend": True},
            title="Suspend preprod",
            message="a freeze",
            body="why",
        )

    return change


def test_a_pull_request_is_opened_once(forge, fake, change, forged):
    first = forge.propose(change())
    again = forge.propose(change())
    assert (first.number, first.state, first.created) == (1, ProposalState.OPEN, True)
    assert first.url == f"https://github.test/{REPOSITORY}/pull/1"
    assert (again.number, again.commit, again.created) == (1, first.commit, False)
    assert [line for line in fake.asked if line.startswith("POST")] == [f"POST {PLACE}/pulls?"]
    assert (fake.pulls[1]["title"], fake.pulls[1]["body"]) == ("Suspend preprod", "why")
    assert git(forged.origin, "log", "-1", "--format=%B", "suspend/preprod") == "Suspend preprod\n\na freeze"
    assert fake.tokens == {f"token {TOKEN}"}


def test_who_was_killed_after_the_push_goes_on_from_there(forge, fake, change, forged):
    fake.faults[f"POST {PLACE}/pulls"] = [403]
    with pytest.raises(IntegrationError, match="403 Resource not accessible"):
        forge.propose(change())
    pushed = git(forged.origin, "rev-parse", "suspend/preprod")
    proposal = forge.propose(change())
    assert (proposal.number, proposal.commit, proposal.created) == (1, pushed, True)


def test_two_at_once_end_with_one_pull_request(forged, fake, change):
    proposals, wanted = [], change()

    def propose():
        forge = GitHubForge(GitRemote(forged.root), REPOSITORY, TOKEN, api=fake.url)
        proposals.append(forge.propose(wanted))

    threads = [threading.Thread(target=propose) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {proposal.number for proposal in proposals} == {1}
    assert len(fake.pulls) == 1
    assert len({proposal.commit for proposal in proposals}) == 1


def test_a_merged_branch_makes_way_for_the_next_change(forge, fake, change, forged):
    first = forge.propose(change())
    # Squashed: the branch is not in the history of main.
    forged.commit("Squashed", **{"README.md": "squashed\n"})
    fake.pulls[1] |= {"state": "closed", "merged_at": "2026-03-02T09:00:00Z"}
    assert forge.find("suspend/preprod").state is ProposalState.MERGED
    second = forge.propose(change())
    assert (second.number, second.created) == (2, True)
    assert second.commit != first.commit
    assert git(forged.origin, "rev-parse", "suspend/preprod") == second.commit


def test_an_open_one_that_changes_another_file_than_is_there_now_is_made_anew(forge, fake, change, forged):
    first = forge.propose(change())
    changed = PREPROD.replace("gates: {successful_runs: 1}", "gates: {successful_runs: 2}")
    forged.commit("Meanwhile", **{"environments__preprod.yaml": changed})
    wanted = dataclasses.replace(
        change(), content=changed.replace("suspend: false", "suspend: true"), body="why now", title="Suspend it"
    )
    second, again = forge.propose(wanted), forge.propose(wanted)
    assert (second.number, second.created, again.created) == (1, True, False)
    assert second.commit != first.commit
    assert again.commit == second.commit
    assert git(forged.origin, "rev-parse", "suspend/preprod^") == git(forged.origin, "rev-parse", "main")
    assert (fake.pulls[1]["title"], fake.pulls[1]["body"]) == ("Suspend it", "why now")
    # Other files may change as they will.
    forged.commit("Beside it", **{"README.md": "other words\n"})
    assert forge.propose(dataclasses.replace(wanted, head=forge.head())).created is False


def test_who_was_killed_before_it_was_made_anew_has_told_why(forge, fake, change, forged, monkeypatch):
    forge.propose(change())
    forged.commit("Meanwhile", **{"environments__preprod.yaml": f"# By hand\n{PREPROD}"})
    wanted = dataclasses.replace(change(), body="why now")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(forge.remote), "push", killed)
        with pytest.raises(KeyboardInterrupt):
            forge.propose(wanted)
    assert fake.pulls[1]["body"] == "why now"
    assert forge.propose(wanted).created


def test_a_declined_one_is_found_until_its_branch_is_gone(forge, fake, change, forged):
    forge.propose(change())
    fake.pulls[1]["state"] = "closed"
    assert forge.find("suspend/preprod").state is ProposalState.DECLINED
    git(forged.origin, "branch", "-D", "suspend/preprod")
    assert forge.find("suspend/preprod") is None


def test_a_branch_that_says_something_else_is_left_alone(forge, change, forged):
    git(forged.root, "switch", "-q", "-c", "suspend/preprod")
    git(forged.root, "commit", "-q", "--allow-empty", "-m", "Somebody's")
    git(forged.root, "push", "-q", "origin", "suspend/preprod")
    with pytest.raises(DeploymentError, match="says something else"):
        forge.propose(change())


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_overloaded_github_is_asked_again(forge, fake, change, waited, status):
    fake.faults[f"GET {PLACE}/pulls"] = [status, status]
    assert forge.propose(change()).number == 1
    assert waited == [1.0, 2.0]


def test_it_is_not_asked_for_ever(forge, fake, waited):
    fake.faults[f"GET {PLACE}/pulls"] = [502] * 10
    with pytest.raises(IntegrationError, match="502"):
        forge.find("suspend/preprod")
    assert waited == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_told_at_once_and_holds_no_token(forge, fake, waited, status):
    fake.faults[f"GET {PLACE}/pulls"] = [status]
    with pytest.raises(IntegrationError, match=str(status)) as error:
        forge.find("suspend/preprod")
    assert waited == []
    assert TOKEN not in str(error.value) + repr(forge)


def limits():
    said = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}
    asked = JSONResponse({"message": "Slow down"}, 403, headers={"Retry-After": "30"})
    return [429, JSONResponse(said, 403), asked]


def test_too_many_requests_are_waited_for(forge, fake, change, waited):
    fake.faults[f"POST {PLACE}/pulls"] = limits()
    assert forge.propose(change()).number == 1
    assert waited == [1.0, 2.0, 30.0]


def test_a_limit_that_lasts_is_no_missing_right(forge, fake, waited):
    fake.faults[f"GET {PLACE}/pulls"] = [*limits(), *limits()]
    with pytest.raises(IntegrationError, match="429") as error:
        forge.find("suspend/preprod")
    assert error.value.fix.startswith("wait until GitHub takes requests")
    assert waited == [1.0, 2.0, 30.0]


def test_a_server_that_is_not_there(forged, waited):
    forge = GitHubForge(GitRemote(forged.root), REPOSITORY, TOKEN, api="http://127.0.0.1:9", pause=waited.append)
    with pytest.raises(IntegrationError, match="cannot be reached") as error:
        forge.find("suspend/preprod")
    assert TOKEN not in str(error.value)
    assert isinstance(forge.plan(), Unreadable)


def test_without_a_token_nothing_is_proposed(forged, fake, change):
    forge = GitHubForge(GitRemote(forged.root), REPOSITORY, None, api=fake.url)
    with pytest.raises(UsageError, match="needs a token"):
        forge.propose(change())
    assert git(forged.origin, "branch", "--list", "suspend/*") == ""


def test_reviewers_merge(forge, change):
    with pytest.raises(UsageError, match="by who reviews it"):
        forge.merge(forge.propose(change()), "Suspend preprod")


def test_a_title_and_a_body_that_are_too_long_are_cut(forge, fake, change):
    hostile = change()
    hostile = Change(**{**vars(hostile), "title": "<!-- @all " * 100, "body": "x" * 100_000})
    forge.propose(hostile)
    assert len(fake.pulls[1]["title"]) == 200
    assert len(fake.pulls[1]["body"]) < 65_536


def environment(**more):
    return {
        "name": "production",
        "can_admins_bypass": False,
        "protection_rules": [
            {"type": "wait_timer", "wait_timer": 5},
            {
                "type": "required_reviewers",
                "prevent_self_review": True,
                "reviewers": [
                    {"type": "User", "reviewer": {"login": "ada"}},
                    {"type": "Team", "reviewer": {"slug": "reviewers"}},
                ],
            },
        ],
        "deployment_branch_policy": {"protected_branches": True, "custom_branch_policies": False},
    } | more


def test_what_guards_an_environment_is_read(forge, fake):
    fake.environments["production"] = environment()
    assert forge.protection("production") == Protection(
        reviewers=("ada", "reviewers"), prevents_self_review=True, branches="protected", admins_bypass=False
    )


def test_named_branches_are_read_page_after_page(forge, fake):
    policy = {"protected_branches": False, "custom_branch_policies": True}
    fake.environments["production"] = environment(deployment_branch_policy=policy)
    fake.policies["production"] = [{"name": "main"}]
    found = forge.protection("production")
    assert (found.branches, found.patterns) == ("named", ("main",))


@pytest.mark.parametrize(
    "more",
    [
        {"protection_rules": []},
        {"protection_rules": None},
        {"protection_rules": "<script>"},
        {"protection_rules": [{"type": "required_reviewers", "reviewers": [{"reviewer": None}]}]},
    ],
)
def test_a_bare_environment_has_nobody_to_approve(forge, fake, more):
    fake.environments["production"] = environment(**more)
    found = forge.protection("production")
    assert (found.reviewers, found.prevents_self_review) == ((), False)


def test_missing_and_unreadable_are_two_things(forge, fake):
    assert forge.protection("production") is None
    fake.faults[f"GET {PLACE}/environments"] = [403]
    found = forge.protection("production")
    assert isinstance(found, Unreadable)
    assert "403" in found.reason


def test_a_repository_that_the_token_may_not_see_is_not_one_without_environments(forge, fake):
    fake.faults[f"GET {PLACE}"] = [404, 404]
    assert isinstance(forge.protection("production"), Unreadable)


def test_a_branch_that_was_merged_without_a_pull_request_makes_way(forge, change, forged):
    git(forged.origin, "branch", "suspend/preprod", "main")
    assert forge.propose(change()).created


@pytest.mark.parametrize(
    ("about", "owner", "plan"),
    [
        ({}, None, Plan(visibility="public", name=None)),
        ({"private": True, "visibility": "private"}, None, Plan(visibility="private", name=None)),
        (
            {"private": True, "visibility": "private"},
            {"login": "acme", "plan": {"name": "free"}},
            Plan(visibility="private", name="free"),
        ),
        (
            {"private": True, "visibility": "internal"},
            {"login": "acme", "plan": {"name": "enterprise"}},
            Plan(visibility="internal", name="enterprise"),
        ),
        # Of somebody else's token the plan says nothing.
        (
            {"private": True, "visibility": "private", "owner": {"login": "ada", "type": "User"}},
            {"login": "bob", "plan": {"name": "pro"}},
            Plan(visibility="private", name=None),
        ),
        ({"private": True, "visibility": "public"}, None, Plan(visibility="private", name=None)),
    ],
)
def test_the_plan_is_read_as_far_as_it_is_told(forge, fake, about, owner, plan):
    fake.about |= about
    fake.owner = owner
    assert forge.plan() == plan


def test_rules_are_read_however_many_there_are(forge, fake):
    fake.rulesets = [{"name": f"rules {place}", "rules": []} for place in range(205)]
    assert [each.name for each in forge.rulesets()] == [f"rules {place}" for place in range(205)]
    fake.faults[f"GET {PLACE}/rulesets"] = [403]
    assert isinstance(forge.rulesets(), Unreadable)


def review(login, state, commit):
    return {"user": {"login": login}, "state": state, "commit_id": commit}


def test_the_last_word_of_each_reviewer_counts(forge, fake, change, forged):
    head = forge.propose(change()).commit
    fake.pulls[1] |= {"state": "closed", "merged_at": "2026-03-02T09:00:00Z"}
    fake.brought["a" * 40] = [1]
    fake.commits[1] = [{"author": {"login": "bot"}, "committer": {"login": "web-flow"}}, {"author": None}]
    fake.reviews[1] = [
        *(review(f"passer-by-{number}", "COMMENTED", head) for number in range(150)),
        review("ada", "APPROVED", "b" * 40),
        review("ada", "COMMENTED", head),
        review("bob", "APPROVED", head),
        review("bob", "CHANGES_REQUESTED", head),
        review("eve", "APPROVED", head),
        review("eve", "DISMISSED", head),
        {"user": None, "state": "APPROVED"},
    ]
    (found,) = forge.changes("a" * 40, "environments/preprod.yaml")
    assert (found.number, found.author, found.head, found.pushed_by) == (1, "bot", head, frozenset({"bot"}))
    assert found.content == change().content
    assert [(each.reviewer, each.approved, each.commit) for each in found.reviews] == [
        ("ada", True, "b" * 40),
        ("bob", False, head),
    ]
    assert forge.changes("c" * 40, "environments/preprod.yaml") == []
    fake.faults[f"GET {PLACE}/pulls/1/reviews"] = [403]
    assert isinstance(forge.changes("a" * 40, "environments/preprod.yaml"), Unreadable)


def test_what_was_not_merged_into_the_default_branch_brought_nothing_in(forge, fake, change):
    forge.propose(change())
    fake.brought["a" * 40] = [1]
    assert forge.changes("a" * 40, "environments/preprod.yaml") == []
    fake.pulls[1] |= {"state": "closed", "merged_at": "2026-03-02T09:00:00Z", "base": {"ref": "elsewhere"}}
    assert forge.changes("a" * 40, "environments/preprod.yaml") == []


def test_members_of_a_team_are_owners_and_who_cannot_be_asked_about_is_none(forge, fake):
    fake.teams["acme/reviewers"] = ["eve"]
    assert forge.members(["@Ada", "@acme/reviewers"], ["ada", "bob", "eve"]) == ["ada", "eve"]
    fake.faults["GET /orgs/acme/teams"] = [403]
    assert forge.members(["@acme/reviewers"], ["eve"]) == []


def test_answers_that_are_no_lists_are_told(forge, fake):
    fake.rulesets = [{"name": "x"}]
    fake._found = lambda *_: {"message": "surprise"}
    assert isinstance(forge.rulesets(), Unreadable)
    with pytest.raises(IntegrationError, match="no list"):
        forge.find("suspend/preprod")
