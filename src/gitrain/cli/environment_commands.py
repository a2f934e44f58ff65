"""The commands of environments: what they desire, and how it is brought about. A part of the table of commands."""

from gitrain.cli.command import Command
from gitrain.cli.command import flag as _flag

__all__ = ["ENVIRONMENT_COMMANDS"]

_JSON = _flag("--json", action="store_true", help="print the result as JSON on stdout")
_ENVIRONMENT = _flag("environment", metavar="ENV", help="the name of an environment, e.g. test")
_AGAIN = _flag("--again", action="store_true", help="probe and record what runs already; try what was aborted")
_WAIT = _flag("--wait", type=float, default=0.0, metavar="S", help="wait so long for another run (default 0: refuse)")
_PROPOSAL = (
    _flag("--dry-run", action="store_true", help="judge and show the change, and propose nothing"),
    _flag("--merge", action="store_true", help="merge it at once; where the forge is GitHub reviewers do that"),
    _JSON,
)

ENVIRONMENT_COMMANDS = (
    Command(
        ("deploy", "plan"),
        "say what would be done to make an environment run what its file says",
        "gitrain.cli.deployments:plan",
        (_ENVIRONMENT, _AGAIN, _JSON),
    ),
    Command(
        ("deploy", "apply"),
        "observe, plan, apply, probe, record; what was killed on the way is mended by the next run",
        "gitrain.cli.deployments:apply",
        (
            _ENVIRONMENT,
            _AGAIN,
            _WAIT,
            _flag("--approved-by", metavar="NAME", help="who approved it, for the record"),
            _flag("--no-revert", action="store_true", help="after an abort, do not propose to put the file back"),
            _JSON,
        ),
    ),
    Command(
        ("deploy", "stop"),
        "end all replicas of an environment, and its proxy",
        "gitrain.cli.deployments:stop",
        (_ENVIRONMENT, _WAIT),
    ),
    Command(
        ("deploy", "unit"),
        "print a systemd unit that brings an environment back after a reboot",
        "gitrain.cli.deployments:unit",
        (_ENVIRONMENT,),
    ),
    Command(
        ("env", "list"),
        "what each environment wants and runs: health, age, memory, address, configuration drift",
        "gitrain.cli.deployments:list_environments",
        (_JSON,),
    ),
    Command(
        ("env", "promote"),
        "propose that an environment desires a release; judged by what it has shown in the one before",
        "gitrain.cli.environments:promote",
        (
            _ENVIRONMENT,
            _flag("--release", metavar="VERSION", help="which one (default: what succeeded last in the one before)"),
            *_PROPOSAL,
        ),
    ),
    Command(
        ("env", "rollback"),
        "propose to go back to a release that succeeded in the environment before; nothing is built",
        "gitrain.cli.environments:rollback",
        (
            _ENVIRONMENT,
            _flag("--to", metavar="VERSION", help="which one (default: the last that ran before the present one came)"),
            _flag("--reason", metavar="TEXT", help="why, in a sentence"),
            *_PROPOSAL,
        ),
    ),
    Command(
        ("env", "suspend"),
        "propose that nothing is changed in an environment; what runs there keeps running",
        "gitrain.cli.environments:suspend",
        (_ENVIRONMENT, _flag("--reason", metavar="TEXT", required=True, help="why, in a sentence"), *_PROPOSAL),
    ),
    Command(
        ("env", "resume"),
        "propose that changes are made in a suspended environment again",
        "gitrain.cli.environments:resume",
        (_ENVIRONMENT, _flag("--reason", metavar="TEXT", required=True, help="why, in a sentence"), *_PROPOSAL),
    ),
    Command(
        ("env", "history"),
        "what happened to an environment: who, when, what and why, from Git and the records of deployments",
        "gitrain.cli.environments:history",
        (_ENVIRONMENT, _JSON),
    ),
    Command(
        ("env", "diff"),
        "what differs between the releases of two environments: data, parameters, dependencies, metrics, commits",
        "gitrain.cli.environments:diff",
        (
            _ENVIRONMENT,
            _flag("other", metavar="OTHER", nargs="?", help="the environment to compare with"),
            _flag("--release", metavar="VERSION", help="compare with this release instead"),
            _JSON,
        ),
    ),
    Command(
        ("env", "check"),
        "judge what this commit makes of environments' files, by the rules that promotions are judged by",
        "gitrain.cli.environments:check",
        (
            _flag("--base", metavar="REF", required=True, help="the commit to compare with, e.g. origin/main"),
            _flag("--out", metavar="FILE", help="write the report as Markdown to this file as well"),
            _JSON,
        ),
    ),
    Command(
        ("env", "verify"),
        "ask the forge whether an approval means something: reviewers, branches, rules, plan; else a review",
        "gitrain.cli.environments:verify",
        (
            _flag("environment", metavar="ENV", nargs="?", help="which one (default: those that none promotes from)"),
            _JSON,
        ),
    ),
)
