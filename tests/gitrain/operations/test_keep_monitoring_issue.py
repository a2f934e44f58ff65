"""One issue an environment, on a bare repository and on a GitHub of our own."""

import pytest
from tests.gitrain.fake_github import REPOSITORY, FakeGitHub, serving
from tests.gitrain.forge import forge_at, git
from tests.gitrain.reports.monitored import alarmed, healthy, hostile, unlabelled

from gitrain.errors import UsageError
from gitrain.integrations.bare_proposals import BareIssues
from gitrain.integrations.git_remote import GitRemote
from gitrain.integrations.github_api import GitHubApi
from gitrain.integrations.github_proposals import GitHubIssues
from gitrain.operations.keep_monitoring_issue import keep_monitoring_issue
from gitrain.verdicts import Outcome

LINK = "https://github.test/acme/project/actions/runs/7"


@pytest.fixture
def forged(git_repository, tmp_path):
    return forge_at(git_repository, tmp_path)


@pytest.fixture
def fake(forged):
    with serving(FakeGitHub(forged.origin)) as fake:
        yield fake


@pytest.fixture
def issues(fake):
    return GitHubIssues(GitHubApi(REPOSITORY, "ghs_secret", url=fake.url, pause=lambda _: None))


def keep(issues, report, **more):
    return keep_monitoring_issue(issues, report, project=report.project, **more)


def open_issues(fake):
    return [number for number, issue in fake.issues.items() if issue["state"] == "open"]


def test_it_is_opened_once_changed_closed_and_opened_anew(issues, fake):
    bad, worse = alarmed(), alarmed().model_copy(update={"notes": ("Another day.",)})
    assert (bad.outcome, healthy().outcome) == (Outcome.FAILED, Outcome.PASSED)
    kept = [keep(issues, report, link=LINK) for report in (bad, bad, worse)]
    assert [each.state for each in kept] == ["open"] * 3
    assert [each.issue.created for each in kept] == [True, False, False]
    assert len({each.issue.number for each in kept}) == len(open_issues(fake)) == 1
    (number,) = open_issues(fake)
    assert fake.issues[number]["title"] == f"Monitoring of {bad.environment} failed"
    assert "Another day" in fake.issues[number]["body"]
    assert f"({LINK})" in fake.issues[number]["body"]
    assert [keep(issues, healthy()).state for _ in range(3)] == ["closed", "none", "none"]
    assert open_issues(fake) == []
    assert keep(issues, bad).issue.number != number
    assert len(open_issues(fake)) == 1


def test_what_decides_nothing_neither_opens_nor_closes(issues, fake):
    assert unlabelled().outcome is Outcome.INCONCLUSIVE
    assert keep(issues, unlabelled()).state == "untouched"
    assert fake.issues == {}
    keep(issues, alarmed())
    assert keep(issues, unlabelled()).state == "untouched"
    assert len(open_issues(fake)) == 1


def test_environments_have_issues_of_their_own(issues, fake):
    elsewhere = alarmed().model_copy(update={"environment": "elsewhere"})
    keep(issues, alarmed())
    keep(issues, elsewhere)
    assert len(open_issues(fake)) == 2
    keep(issues, healthy().model_copy(update={"environment": "elsewhere"}))
    (left,) = open_issues(fake)
    assert alarmed().environment in fake.issues[left]["title"]


def test_a_bare_repository_keeps_it_as_a_file(forged):
    issues = BareIssues(GitRemote(forged.root))
    report = alarmed()
    assert keep(issues, report).issue.key == f"monitoring/{report.environment}"
    text = git(forged.origin, "show", f"issues:monitoring/{report.environment}.md")
    assert text.startswith(f"# Monitoring of {report.environment} failed")
    assert keep(issues, healthy()).state == "closed"
    assert git(forged.origin, "ls-tree", "-r", "--name-only", "issues") == ""


def test_whatever_stands_in_a_report_the_mark_stays_ours(issues, fake):
    failed = hostile().model_copy(update={"environment": "production"})
    keep(issues, failed, link=LINK)
    keep(issues, failed, link=LINK)
    (number,) = open_issues(fake)
    body = fake.issues[number]["body"]
    assert body.startswith("<!-- gitrain: monitoring/production -->\n")
    assert body.count("<!--") == 1
    assert f"({LINK})" in body


@pytest.mark.parametrize(
    "link", ["", "javascript:alert(1)", "https://a.test/x) [y](https://b.test", "https://a.test/<b>"]
)
def test_a_link_is_one(issues, fake, link):
    with pytest.raises(UsageError, match="is no link"):
        keep(issues, alarmed(), link=link)
    assert fake.issues == {}


def test_a_report_of_another_project_is_refused(issues, fake):
    with pytest.raises(UsageError, match="the monitoring report is of"):
        keep_monitoring_issue(issues, alarmed(), project="another")
    with pytest.raises(UsageError, match="no key"):
        keep(issues, alarmed().model_copy(update={"environment": "--> x"}))
    assert fake.issues == {}
