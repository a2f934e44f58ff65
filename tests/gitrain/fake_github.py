"""A small GitHub: the requests that promotions and approvals make, and answers that can be spoilt."""

import base64
import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

REPOSITORY = "acme/tumours"


@dataclass
class FakeGitHub:
    """What it holds; change it as you like.

    Attributes:
        origin: the bare repository that stands behind it.
        about: `GET /repos/OWNER/NAME`.
        owner: `GET /orgs/OWNER`; None: it may not be read.
        environments: by name.
        policies: deployment branch policies, by environment.
        rulesets: as `GET .../rulesets/NUMBER` gives them.
        pulls: by number.
        reviews: by pull request, in order.
        commits: of pull requests, by number.
        comments: of pull requests, by number.
        brought: the pull requests of a commit.
        teams: `organisation/team` to members.
        issues: by number; pull requests are issues too, as GitHub lists them.
        faults: statuses or answers, by the start of `VERB path`, that come before the true answer.
        asked: `VERB path?query` of all requests.
    """

    origin: Path
    about: dict[str, Any] = field(
        default_factory=lambda: {
            "private": False,
            "visibility": "public",
            "default_branch": "main",
            "owner": {"login": "acme", "type": "Organization"},
        }
    )
    owner: dict[str, Any] | None = None
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    policies: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rulesets: list[dict[str, Any]] = field(default_factory=list)
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    reviews: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    commits: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    comments: dict[int, list[str]] = field(default_factory=dict)
    brought: dict[str, list[int]] = field(default_factory=dict)
    teams: dict[str, list[str]] = field(default_factory=dict)
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    faults: dict[str, list[int | Response]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    url: str = ""

    def sha(self, ref: str) -> str | None:
        command = ["git", "rev-parse", "--verify", "--quiet", ref]
        done = subprocess.run(command, cwd=self.origin, capture_output=True, text=True, check=False)
        return done.stdout.strip() or None

    def pull(self, number: int, branch: str, *, author: str = "bot", head: str | None = None, **more: Any) -> None:
        """A pull request of a branch."""
        self.pulls[number] = {
            "number": number,
            "state": "open",
            "merged_at": None,
            "html_url": f"https://github.test/{REPOSITORY}/pull/{number}",
            "title": "A pull request",
            "user": {"login": author},
            "head": {
                "ref": branch,
                "sha": head or self.sha(branch) or "0" * 40,
                "repo": {"full_name": REPOSITORY},
            },
            "base": {"ref": "main"},
        } | more

    async def answer(self, request: Request) -> Response:
        line = f"{request.method} {request.url.path}"
        self.asked.append(f"{line}?{request.url.query}")
        self.tokens.add(request.headers.get("authorization", ""))
        for start, statuses in self.faults.items():
            if line.startswith(start) and statuses:
                fault = statuses.pop(0)
                if isinstance(fault, Response):
                    return fault
                return JSONResponse({"message": "Resource not accessible by integration"}, fault)
        body = await request.json() if request.method in ("PATCH", "POST", "PUT") else {}
        found = self._found(request, request.url.path.strip("/").split("/"), body)
        if found is None:
            return JSONResponse({"message": "Not Found"}, 404)
        if isinstance(found, Response):
            return found
        if isinstance(found, list):
            size, page = (int(request.query_params.get(name, 1)) for name in ("per_page", "page"))
            found = found[(page - 1) * size : page * size]
        return JSONResponse(found)

    def _found(self, request: Request, parts: list[str], body: dict[str, Any]) -> Any:
        match parts:
            case ["orgs", name]:
                return self.owner if self.owner is not None and self.owner["login"] == name else None
            case ["user"]:
                return self.owner
            case ["orgs", organisation, "teams", team, "memberships", login]:
                return {"state": "active"} if login in self.teams.get(f"{organisation}/{team}", []) else None
            case ["repos", _, _]:
                return self.about
            case ["repos", _, _, "environments", name]:
                return self.environments.get(name)
            case ["repos", _, _, "environments", name, "deployment-branch-policies"]:
                return {"branch_policies": self.policies.get(name, [])}
            case ["repos", _, _, "rulesets"]:
                return [{"id": place, "name": each["name"]} for place, each in enumerate(self.rulesets)]
            case ["repos", _, _, "rulesets", place]:
                return self.rulesets[int(place)]
            case ["repos", _, _, "commits", sha, "pulls"]:
                return [self.pulls[number] for number in self.brought.get(sha, [])]
            case ["repos", _, _, "pulls", number, "reviews"]:
                return self.reviews.get(int(number), [])
            case ["repos", _, _, "pulls", number, "commits"]:
                return self.commits.get(int(number), [])
            case ["repos", _, _, "contents", *path]:
                return self._content("/".join(path), request.query_params["ref"])
            case ["repos", _, _, "pulls"] if request.method == "POST":
                return self._open(body)
            case ["repos", _, _, "pulls"]:
                branch = request.query_params.get("head", "").partition(":")[2]
                state = request.query_params.get("state", "open")
                return [
                    each
                    for _, each in sorted(self.pulls.items(), reverse=True)
                    if branch in ("", each["head"]["ref"]) and state in ("all", each["state"])
                ]
            case ["repos", _, _, "pulls", number] if request.method == "PATCH":
                self.pulls[int(number)] |= body
                return self.pulls[int(number)]
            case ["repos", _, _, "pulls", number, "merge"] if request.method == "PUT":
                return self._merge(self.pulls[int(number)], body)
            case ["repos", _, _, "issues"] if request.method == "POST":
                return self._file(body)
            case ["repos", _, _, "issues"]:
                return self._listed(request.query_params["labels"], request.query_params["state"])
            case ["repos", _, _, "issues", number] if request.method == "PATCH":
                self.issues[int(number)] |= body
                return self.issues[int(number)]
            case ["repos", _, _, "issues", number, "comments"] if request.method == "POST":
                self.comments.setdefault(int(number), []).append(body["body"])
                return {"id": 1}
        return None

    def _content(self, path: str, ref: str) -> Any:
        done = subprocess.run(["git", "show", f"{ref}:{path}"], cwd=self.origin, capture_output=True, check=False)
        return {"content": base64.encodebytes(done.stdout).decode()} if done.returncode == 0 else None

    def _open(self, body: dict[str, Any]) -> Response:
        head = self.sha(f"refs/heads/{body['head']}")
        same = [each for each in self.pulls.values() if (each["head"]["ref"], each["state"]) == (body["head"], "open")]
        if head is None or same or len(body["body"]) > 65_536:
            return JSONResponse({"message": "Validation Failed"}, 422)
        number = self._next()
        self.pull(number, body["head"], head=head, title=body["title"], body=body["body"])
        return JSONResponse(self.pulls[number], 201)

    def _next(self) -> int:
        return max(*self.pulls, *self.issues, 0, 0) + 1

    def _merge(self, pull: dict[str, Any], body: dict[str, Any]) -> Response:
        if pull["head"]["sha"] != body["sha"]:
            return JSONResponse({"message": "Head branch was modified"}, 409)
        subprocess.run(["git", "update-ref", "refs/heads/main", body["sha"]], cwd=self.origin, check=True)
        pull |= {"state": "closed", "merged_at": "2026-03-02T09:00:00Z"}
        return JSONResponse({"merged": True})

    def _file(self, body: dict[str, Any]) -> Response:
        number = self._next()
        self.issues[number] = {
            "number": number,
            "state": "open",
            "html_url": f"https://github.test/{REPOSITORY}/issues/{number}",
            "title": body["title"],
            "body": body["body"],
            "labels": [{"name": name} for name in body["labels"]],
        }
        return JSONResponse(self.issues[number], 201)

    def _listed(self, label: str, state: str) -> list[dict[str, Any]]:
        wanted = [
            each
            for each in self.issues.values()
            if each["state"] == state and label in [given["name"] for given in each["labels"]]
        ]
        pulls = [{**each, "pull_request": {}} for each in self.pulls.values() if each["state"] == state]
        return sorted([*wanted, *pulls], key=lambda each: -each["number"])


@contextlib.contextmanager
def serving(fake: FakeGitHub) -> Iterator[FakeGitHub]:
    """The fake behind a port of this machine."""
    routes = [Route("/{path:path}", fake.answer, methods=["GET", "PATCH", "POST", "PUT"])]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    fake.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield fake
    finally:
        server.should_exit = True
        thread.join(60)
