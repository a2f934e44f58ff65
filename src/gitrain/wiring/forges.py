"""Which forge the remote `origin` is on: GitHub by its name, else the Git repository itself."""

import os
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gitrain.errors import UsageError
from gitrain.integrations.git_remote import GitRemote, token_header
from gitrain.settings import Settings

__all__ = ["ForgePlace", "find_forge"]

# user@host:owner/name.git, as ssh has it.
_SSH = re.compile(r"^(?:[\w.-]+@)?(?P<host>[\w.-]+):(?!//)(?P<path>.+)$")


@dataclass(frozen=True, kw_only=True)
class ForgePlace:
    """Where changes are proposed.

    Attributes:
        remote: the Git side.
        repository: ``owner/name`` on GitHub; None where the forge is a Git repository and no more.
        token: of a person or of an app, never shown.
        api: the address of GitHub's interface.
    """

    remote: GitRemote
    repository: str | None = None
    token: str | None = field(default=None, repr=False)
    api: str = ""


def find_forge(settings: Settings) -> ForgePlace:
    """The forge of a repository.

    GITHUB_SERVER_URL and GITHUB_API_URL name another GitHub, as they do in its workflows; GH_TOKEN or GITHUB_TOKEN is
    the token.

    Raises:
        UsageError: there is no remote, or it names no repository of GitHub.
    """
    remote = GitRemote(settings.root)
    server = os.environ.get("GITHUB_SERVER_URL") or "https://github.com"
    host = urlsplit(server).netloc
    for url in (remote.configured, remote.url):
        found = _place(url)
        if found is None or found[0] != host:
            continue
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", found[1]):
            raise UsageError(f"{remote.shown} names no repository of {host}", fix="let origin end in OWNER/NAME.git.")
        token = os.environ.get("GH_TOKEN") or os.environ.get("GITHUB_TOKEN") or None
        default = "https://api.github.com" if host == "github.com" else f"{server}/api/v3"
        return ForgePlace(
            remote=GitRemote(settings.root, variables=token_header(server, token) if token else {}),
            repository=found[1],
            token=token,
            api=os.environ.get("GITHUB_API_URL") or default,
        )
    return ForgePlace(remote=remote)


def _place(url: str) -> tuple[str, str] | None:
    """Host and path of a remote; None for a folder."""
    if "://" in url:
        parts = urlsplit(url)
        if parts.scheme == "file":
            return None
        # A port of ssh is not the port of the server's pages.
        host = parts.netloc.rpartition("@")[2] if parts.scheme.startswith("http") else parts.hostname or ""
        path = parts.path
    else:
        found = _SSH.match(url)
        if found is None:
            return None
        host, path = found["host"], found["path"]
    return host, path.strip("/").removesuffix(".git")
