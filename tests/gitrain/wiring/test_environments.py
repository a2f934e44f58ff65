"""Which forge a repository is on."""

import pytest
from tests.gitrain.forge import PYPROJECT, git

from gitrain.errors import UsageError
from gitrain.integrations.bare_forge import BareForge
from gitrain.integrations.github import GitHubForge
from gitrain.settings import load_settings
from gitrain.wiring.environments import open_forge


@pytest.fixture
def settings(git_repository):
    (git_repository / "pyproject.toml").write_text(PYPROJECT)
    return load_settings(git_repository)


def forge_of(settings, url):
    git(settings.root, "remote", "add", "origin", url)
    return open_forge(settings)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/tumours.git",
        "https://github.com/acme/tumours",
        "https://x-access-token:secret@github.com/acme/tumours/",
        "git@github.com:acme/tumours.git",
        "ssh://git@github.com:22/acme/tumours.git",
    ],
)
def test_githubs_own_address_in_all_its_forms(settings, url):
    forge = forge_of(settings, url)
    assert isinstance(forge, GitHubForge)
    assert (forge.repository, forge.api, forge.token) == ("acme/tumours", "https://api.github.com", None)
    assert "secret" not in forge.name


@pytest.mark.parametrize(
    "url", ["/srv/tumours.git", "file:///srv/tumours.git", "../tumours.git", "git@example.com:acme/tumours.git"]
)
def test_anything_else_is_a_repository(settings, url):
    assert isinstance(forge_of(settings, url), BareForge)


def test_another_github_and_the_token(settings, monkeypatch):
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.example.com")
    monkeypatch.setenv("GITHUB_TOKEN", "of the workflow")
    forge = forge_of(settings, "https://github.example.com/acme/tumours.git")
    assert (forge.api, forge.token) == ("https://github.example.com/api/v3", "of the workflow")
    monkeypatch.setenv("GH_TOKEN", "of the app")
    monkeypatch.setenv("GITHUB_API_URL", "https://api.example.com")
    forge = open_forge(settings)
    assert isinstance(forge, GitHubForge)
    assert (forge.api, forge.token) == ("https://api.example.com", "of the app")


@pytest.mark.parametrize("path", ["acme", "acme/tumours/extra", "acme/../../orgs", "acme/tu mours"])
def test_a_path_that_is_no_repository_is_refused(settings, path):
    with pytest.raises(UsageError, match="names no repository"):
        forge_of(settings, f"https://github.com/{path}")


def test_a_repository_without_a_remote(settings):
    with pytest.raises(UsageError, match="no remote 'origin'"):
        open_forge(settings)
