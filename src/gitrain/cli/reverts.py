"""The revert that `gitrain deploy apply` opens after an abort. Proposals load more than a pass without one needs."""

import argparse
from pathlib import Path

from gitrain.deployment.record import DeploymentRecord
from gitrain.environments.document import environment_path
from gitrain.errors import GitrainError
from gitrain.operations.carry_out_plan import DeploymentTools
from gitrain.operations.propose_change import ProposedChange
from gitrain.operations.revert_aborted import revert_aborted
from gitrain.settings import load_settings
from gitrain.wiring.environments import open_environment_tools, open_forge

__all__ = ["open_revert"]


def open_revert(
    arguments: argparse.Namespace, tools: DeploymentTools, record: DeploymentRecord
) -> ProposedChange | None:
    """Propose to put the file of an environment back; None where there is nothing to put back, or it fails."""
    settings = load_settings(Path(arguments.directory))
    try:
        return revert_aborted(open_environment_tools(settings), open_forge(settings), record)
    except GitrainError as error:
        # What runs is as it should be; only the file is not.
        former = "no release" if record.former is None else f"release {record.former.version}"
        tools.progress(
            f"{record.environment}: the revert could not be opened: {error.what}. "
            f"Let {environment_path(record.environment)} name {former} again, or: {error.fix}"
        )
        return None
