"""What GitHub says of approvals, and the harness's fake does not know: rules, reviews, teams, who let a job start.

The fake gives whatever answer it is told to give in place of its own. So what GitHub would say is told to it before
each run. What an approval does is GitHub's own and is tried nowhere: no job waits, and nobody is kept from approving
what is his.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.workflows.conftest import BOT, ROOT, SLUG

__all__ = ["BARE", "GUARDED", "Approvals", "rules"]

#: The settings of an environment that are in order.
GUARDED: Mapping[str, Any] = {
    "can_admins_bypass": False,
    "protection_rules": [
        {"type": "branch_policy"},
        {
            "type": "required_reviewers",
            "prevent_self_review": True,
            "reviewers": [{"type": "User", "reviewer": {"login": "ada"}}],
        },
    ],
    "deployment_branch_policy": {"protected_branches": True, "custom_branch_policies": False},
}

#: An environment as the first job that names it makes it.
BARE: Mapping[str, Any] = {"can_admins_bypass": True, "protection_rules": [], "deployment_branch_policy": None}

_PATH = "environments/production.yaml"
# More often than a run asks.
_TIMES = 200


def rules(*, shows_bypass: bool) -> list[dict[str, Any]]:
    """The rules of `.github/rulesets` as GitHub gives them.

    Args:
        shows_bypass: whether the token may see who passes them by: an administrator's may, and an app's may not.
    """
    found = []
    for number, path in enumerate(sorted((ROOT / ".github/rulesets").glob("*.json")), start=1):
        content = json.loads(path.read_text(encoding="utf-8"))
        if not shows_bypass:
            del content["bypass_actors"]
        found.append({"id": number, "source_type": "Repository", "source": SLUG, **content})
    return found


@dataclass(kw_only=True)
class Approvals:
    """What GitHub says, beside what the fake knows.

    Attributes:
        rules: for branches.
        let_start: the logins of those who let the job of production start; of each run.
        reviews: of pull requests, in order.
        brought: the pull request that a commit of `main` came by.
        team: the members of the team that owns the files.
    """

    rules: Sequence[Mapping[str, Any]] = ()
    let_start: tuple[str, ...] = ()
    reviews: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    brought: dict[str, int] = field(default_factory=dict)
    team: tuple[str, ...] = ("bob",)

    def answers(self, pulls: Sequence[Mapping[str, Any]], run: int, read: Callable[..., str]) -> list[dict[str, Any]]:
        """What the fake is to answer.

        Args:
            pulls: what it holds.
            run: the number of the run that is to begin.
            read: runs Git in what stands for GitHub's repository.
        """
        approved = [
            {"state": "approved", "user": {"login": login}, "environments": [{"name": "production"}]}
            for login in self.let_start
        ]
        found = [
            _answer(f"/repos/{SLUG}/rulesets", [{"id": each["id"], "name": each["name"]} for each in self.rules]),
            *(_answer(f"/repos/{SLUG}/rulesets/{each['id']}", each) for each in self.rules),
            _answer(f"/repos/{SLUG}/actions/runs/{run}/approvals", approved),
            *(
                _answer(f"/orgs/gitrain/teams/maintainers/memberships/{login}", {"state": "active"})
                for login in self.team
            ),
        ]
        by_number = {pull["number"]: pull for pull in pulls}
        for commit, number in self.brought.items():
            pull = by_number[number]
            head = pull["head"]["sha"]
            place = f"/repos/{SLUG}/pulls/{number}"
            found += [
                _answer(f"/repos/{SLUG}/commits/{commit}/pulls", [pull]),
                _answer(f"{place}/reviews", self.reviews.get(number, [])),
                _answer(f"{place}/commits", [{"sha": head, "author": {"login": BOT}, "committer": {"login": BOT}}]),
            ]
        if self.brought:
            # One file of one commit: that of the newest merge.
            head = by_number[list(self.brought.values())[-1]]["head"]["sha"]
            text = base64.encodebytes(read("show", f"{head}:{_PATH}").encode()).decode()
            found.append(_answer(f"/repos/{SLUG}/contents/{_PATH}", {"encoding": "base64", "content": text}))
        return found


def _answer(path: str, body: object) -> dict[str, Any]:
    return {"method": "GET", "path": f"^{re.escape(path)}$", "status": 200, "body": body, "times": _TIMES}
