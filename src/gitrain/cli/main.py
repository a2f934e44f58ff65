"""Parse the command line, run one command, and turn errors into messages and exit codes."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from gitrain import __version__
from gitrain.cli.commands import COMMANDS, GROUPS, Command
from gitrain.errors import GitrainError

__all__ = ["build_parser", "main"]

_EPILOG = """\
exit codes: 0 passed, 1 failed (a verdict), 2 usage or misconfiguration, 3 error, 4 inconclusive; only 0 promotes.
data goes to stdout, progress and messages to stderr.
"""

# Nothing that we call may phone home, also when the user's shell does not say so.
_NO_TELEMETRY = {
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
# Threads that spin while they wait make fits several times slower on a busy machine.
_CALM_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="gitrain",
        description="Git commits and pull requests drive training and promotion of machine-learning models.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gitrain {__version__}")
    parser.add_argument("-C", dest="directory", metavar="DIR", default=".", help="work in this folder's repository")
    nouns = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    groups: dict[str, argparse._SubParsersAction[argparse.ArgumentParser]] = {}
    for command in COMMANDS:
        *group, name = command.words
        if not group:
            _add(nouns, name, command)
            continue
        if group[0] not in groups:
            summary = GROUPS[group[0]]
            noun = nouns.add_parser(group[0], help=summary, description=summary)
            groups[group[0]] = noun.add_subparsers(title="commands", metavar="COMMAND", required=True)
        _add(groups[group[0]], name, command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: the arguments without the program's name; those of the process by default.
    """
    arguments = build_parser().parse_args(argv)
    for name, value in (_NO_TELEMETRY | _CALM_THREADS).items():
        os.environ.setdefault(name, value)
    module_name, _, function_name = arguments.runner.partition(":")
    try:
        code: int = getattr(importlib.import_module(module_name), function_name)(arguments)
        # A reader that went away (`| head`) is found out here, not at the interpreter's exit.
        sys.stdout.flush()
    except GitrainError as error:
        print(f"gitrain: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("gitrain: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 3
    return code


def _add(parent: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, command: Command) -> None:
    parser = parent.add_parser(name, help=command.summary, description=command.summary)
    for argument in command.arguments:
        parser.add_argument(*argument.flags, **argument.options)
    parser.set_defaults(runner=command.runner, words=command.words)
