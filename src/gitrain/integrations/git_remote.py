"""Git's other side: branches of a remote, and commits that are made without a checkout.

Neither the working tree, nor the index, nor a branch of the user's is touched: a change is a commit on top of the
remote's default branch, made by plumbing and pushed by its hash.
"""

import base64
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from gitrain.environments.forge import ForgeHead, Proposal, ProposalState
from gitrain.errors import DeploymentError, IntegrationError, PipelineError, UsageError
from gitrain.integrations.git_program import OVERTAKEN, run_git, workflow_author

__all__ = ["GitRemote", "token_header"]

_TRIES = 5
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")
_NO_BRANCH = ""


@dataclass(frozen=True)
class GitRemote:
    """A remote of the repository that `root` lies in.

    Attributes:
        root: a folder of the repository; paths of files are relative to it.
        remote: its name.
        variables: for Git alone: credentials (`token_header`), and who commits where Git does not know.
    """

    root: Path
    remote: str = "origin"
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def url(self) -> str:
        """Where it is, as Git would go there.

        Raises:
            UsageError: there is no such remote.
        """
        done = self._try("remote", "get-url", self.remote)
        if done.returncode != 0:
            raise UsageError(
                f"the repository has no remote {self.remote!r}, and changes of environments are proposed there",
                fix=f"run `git remote add {self.remote} URL`; a bare repository (`git init --bare`) is enough.",
            )
        return done.stdout.decode(errors="replace").strip()

    @property
    def configured(self) -> str:
        """Where it is by the repository's settings, before Git's own (`url.*.insteadOf`) had a say; may be empty."""
        return self._try("config", "--get", f"remote.{self.remote}.url").stdout.decode(errors="replace").strip()

    @property
    def shown(self) -> str:
        """Where it is, for messages: without a password."""
        return _PASSWORD.sub("", self.url)

    def head(self) -> ForgeHead:
        """The default branch, fetched."""
        _ = self.url
        listing = self._run("ls-remote", "--symref", self.remote, "HEAD").decode(errors="replace")
        found = re.search(r"^ref: refs/heads/(\S+)\tHEAD$", listing, re.MULTILINE)
        if found is None:
            raise UsageError(
                f"{self.shown} has no default branch with a commit",
                fix="push one, and let HEAD of the remote name it: `git symbolic-ref HEAD refs/heads/main` there.",
            )
        commit = self.branch(found[1])
        if commit is None:
            raise PipelineError(f"{self.shown} lost its branch {found[1]}", fix="try again.")
        return ForgeHead(branch=found[1], commit=commit)

    def branch(self, name: str) -> str | None:
        """The newest commit of a branch, fetched; None if there is no such branch."""
        tracking = f"+refs/heads/{name}:refs/remotes/{self.remote}/{name}"
        attempt = 0
        while True:
            listing = self._run("ls-remote", self.remote, f"refs/heads/{name}").decode(errors="replace")
            commits = [line.split("\t")[0] for line in listing.splitlines() if line.endswith(f"\trefs/heads/{name}")]
            if not commits:
                return None
            done = self._try("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", self.remote, tracking)
            if done.returncode == 0:
                return commits[0]
            # Somebody else fetches it into this clone, or took it away, at this moment.
            said = done.stderr.decode(errors="replace")
            attempt += 1
            if attempt == _TRIES or not any(word in said for word in (*OVERTAKEN, "couldn't find remote ref")):
                raise self._failure("fetch", done)

    def proposal(self, branch: str) -> Proposal | None:
        """A branch as what it proposes for the default branch: merged, or open; None if there is no such branch."""
        tip = self.branch(branch)
        if tip is None:
            return None
        merged = self.contains(self.head().commit, tip)
        return Proposal(branch=branch, commit=tip, state=ProposalState.MERGED if merged else ProposalState.OPEN)

    def proposals(self, prefix: str) -> list[Proposal]:
        """The branches that begin so and are not merged, by name."""
        found = (self.proposal(branch) for branch in sorted(self.branches(prefix)))
        return [each for each in found if each is not None and each.state is ProposalState.OPEN]

    def branches(self, prefix: str) -> dict[str, str]:
        """The branches whose names begin so, with their newest commits; nothing is fetched."""
        return {name.removeprefix("refs/heads/"): at for name, at in self.refs(f"refs/heads/{prefix}").items()}

    def refs(self, prefix: str) -> dict[str, str]:
        """What the remote has under names that begin so, with where they are; nothing is fetched."""
        listing = self._run("ls-remote", self.remote, f"{prefix}*").decode(errors="replace")
        found = (line.partition("\t") for line in listing.splitlines())
        return {name: at for at, _, name in found if name.startswith(prefix)}

    def message(self, commit: str) -> str:
        """The whole message of a commit that is here."""
        return self._run("log", "-1", "--format=%B", commit, "--").decode(errors="replace")

    def put_away(self, branch: str, tip: str, reason: str, place: str) -> bool:
        """Take a branch away and keep its commits under another name, below a commit that says why.

        Args:
            branch: its name.
            tip: where it is; its commits are here.
            reason: the message.
            place: the full name, e.g. ``refs/closed/NAME``.

        Returns:
            False if the branch was elsewhere: others were quicker.
        """
        tree = self._run("rev-parse", f"{tip}^{{tree}}").decode().strip()
        kept = self._commit(tree, reason, tip)
        lease = f"--force-with-lease=refs/heads/{branch}:{tip}"
        wanted = (f"+{kept}:{place}", f":refs/heads/{branch}")
        done = self._try("push", "--porcelain", "--no-verify", "--atomic", lease, self.remote, *wanted)
        if done.returncode != 0:
            said = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
            if any(word in said for word in OVERTAKEN):
                return False
            raise self._failure("push", done)
        return True

    def take(self, folder: Path, commit: str) -> None:
        """Bring a commit of a clone, with what it stands on, into this repository; no name of it is left here."""
        self._run("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", str(folder), commit)

    def read(self, commit: str, path: str) -> str | None:
        """A file of a commit as text; None if there is none."""
        done = self._try("cat-file", "blob", f"{commit}:{self._prefix}{path}")
        return done.stdout.decode(errors="replace") if done.returncode == 0 else None

    def contains(self, commit: str, other: str) -> bool:
        """Whether `commit` has `other` in its history."""
        return self._try("merge-base", "--is-ancestor", other, commit).returncode == 0

    def common(self, commit: str, other: str) -> str | None:
        """The newest commit that both have in their histories; None if there is none."""
        done = self._try("merge-base", commit, other)
        return done.stdout.decode().strip() if done.returncode == 0 else None

    def added(self, base: str, commit: str) -> int:
        """How many commits are in the history of `commit` and not in that of `base`."""
        return int(self._run("rev-list", "--count", f"{base}..{commit}").decode())

    def commit_file(self, base: str, path: str, content: str, message: str) -> str:
        """A commit on `base` in which one file has this content; its hash."""
        full = f"{self._prefix}{path}"
        blob = self._run("hash-object", "-w", "--no-filters", "--stdin", text=content.encode()).decode().strip()
        entry = self._run("ls-tree", "--full-tree", base, "--", full).decode(errors="replace").split(" ", 1)
        mode = entry[0] if entry[0] in ("100644", "100755") else "100644"
        with tempfile.TemporaryDirectory(prefix="gitrain-index-") as folder:
            index = {"GIT_INDEX_FILE": f"{folder}/index"}
            self._run("read-tree", base, variables=index)
            self._run("update-index", "--add", "--cacheinfo", f"{mode},{blob},{full}", variables=index)
            tree = self._run("write-tree", variables=index).decode().strip()
        return self._commit(tree, message, base)

    def push(self, commit: str, branch: str, expected: str | None) -> bool:
        """Let a branch of the remote be at this commit; False if it was not where it was expected: others were quicker.

        Args:
            commit: the full hash.
            branch: its name.
            expected: where it is now; None if it is not there.

        Raises:
            IntegrationError: the remote refuses.
        """
        lease = f"--force-with-lease=refs/heads/{branch}:{expected or _NO_BRANCH}"
        done = self._try("push", "--porcelain", "--no-verify", lease, self.remote, f"{commit}:refs/heads/{branch}")
        if done.returncode == 0:
            return True
        said = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
        if any(word in said for word in OVERTAKEN):
            return False
        raise self._failure("push", done)

    def merge(self, branch: str, message: str) -> str:
        """Merge a branch into the default branch; the commit that the default branch is at after that.

        Raises:
            DeploymentError: the two contradict each other, or there is no such branch.
        """
        for _ in range(_TRIES):
            head, tip = self.head(), self.branch(branch)
            if tip is None:
                raise DeploymentError(f"{self.shown} has no branch {branch}", fix="propose the change again.")
            if self.contains(head.commit, tip):
                return head.commit
            merged = self._try("merge-tree", "--write-tree", "--no-messages", head.commit, tip)
            if merged.returncode == 1:
                raise DeploymentError(
                    f"{branch} contradicts what {head.branch} says by now",
                    fix=f"delete it (`git push {self.remote} --delete {branch}`) and propose the change again.",
                )
            if merged.returncode != 0:
                raise self._failure("merge-tree", merged)
            commit = self._commit(merged.stdout.decode().split()[0], message, head.commit, tip)
            if self.push(commit, head.branch, head.commit):
                return commit
        raise DeploymentError(f"others keep pushing to {self.shown}", fix="try again.")

    def _commit(self, tree: str, message: str, *parents: str) -> str:
        given = [argument for parent in parents for argument in ("-p", parent)]
        return self._run("commit-tree", tree, *given, text=message.encode(), variables=self._author()).decode().strip()

    def _author(self) -> dict[str, str]:
        """Who commits, where Git itself would not know: on a runner nobody has told it."""
        named = self._try("config", "user.name").stdout.strip() and self._try("config", "user.email").stdout.strip()
        return {} if named or "GIT_AUTHOR_NAME" in os.environ else workflow_author()

    @property
    def _prefix(self) -> str:
        return os.fsdecode(self._run("rev-parse", "--show-prefix").removesuffix(b"\n"))

    def _run(self, *arguments: str, text: bytes = b"", variables: Mapping[str, str] | None = None) -> bytes:
        done = self._try(*arguments, text=text, variables=variables)
        if done.returncode != 0:
            raise self._failure(arguments[0], done)
        return done.stdout

    def _try(
        self, *arguments: str, text: bytes = b"", variables: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        given = {"GIT_LITERAL_PATHSPECS": "1", **self.variables, **(variables or {})}
        return run_git(self.root, *arguments, text=text, variables=given)

    def _failure(self, verb: str, done: "subprocess.CompletedProcess[bytes]") -> IntegrationError:
        said = " ".join(_PASSWORD.sub("", done.stderr.decode(errors="replace")).split()) or f"exit {done.returncode}"
        fix = "look at what the remote says, and whether you may do this there."
        if "tell me who you are" in said.lower() or "empty ident name" in said:
            fix = "run `git config user.name` and `user.email` with a name each."
        if "--write-tree" in said:
            fix = "install Git 2.38 or newer."
        return IntegrationError(f"`git {verb}` failed in {self.root}: {said}", fix=fix)


def token_header(server: str, token: str) -> dict[str, str]:
    """Variables by which Git sends a token to a server, and to no other; it is in no argument and in no file.

    Args:
        server: e.g. ``https://github.com``.
        token: of a person or of an app.
    """
    parts = urlsplit(server)
    key = f"http.{parts.scheme}://{parts.netloc}/.extraheader"
    credentials = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    there = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    # The empty value takes away a header that a checkout may have left: two of them are refused.
    settings = [(key, ""), (key, f"AUTHORIZATION: basic {credentials}")]
    found = {"GIT_CONFIG_COUNT": str(there + len(settings))}
    for place, (name, value) in enumerate(settings, start=there):
        found |= {f"GIT_CONFIG_KEY_{place}": name, f"GIT_CONFIG_VALUE_{place}": value}
    return found
