"""`gitrain rehearse --year`."""

import argparse
import json
from pathlib import Path

from gitrain.cli.console import print_json, print_text, progress_to_stderr
from gitrain.errors import UsageError
from gitrain.reports.replay_markdown import render_replay
from gitrain.reports.replay_svg import render_replay_svg
from gitrain.settings import load_settings
from gitrain.wiring.replay import replay_folder, replay_repository
from gitrain.wiring.repository import write_report

__all__ = ["replay"]

_FOLDER = ".gitrain/replay"
_BOOTSTRAP = 3
_REPORT, _PICTURE, _JSON = "replay.md", "replay.svg", "replay.json"


def replay(arguments: argparse.Namespace) -> int:
    """Live a year of the repository again, and write what it came to: Markdown, a picture, JSON."""
    for option in ("steps", "until", "approve"):
        if getattr(arguments, option):
            raise UsageError(f"--year and --{option} do not go together", fix=f"leave --{option} out.")
    progress = progress_to_stderr()
    root = load_settings(Path(arguments.directory)).root
    with replay_folder(root / (arguments.folder or _FOLDER)) as folder:
        report = replay_repository(
            arguments.directory,
            folder,
            bootstrap=arguments.bootstrap if arguments.bootstrap is not None else _BOOTSTRAP,
            through=arguments.through,
            keep_log=arguments.keep,
            progress=progress,
        )
        markdown = render_replay(report, picture=_PICTURE)
        write_report(folder / _PICTURE, render_replay_svg(report))
        write_report(folder / _REPORT, markdown)
        write_report(folder / _JSON, report.to_json())
    if arguments.json:
        print_json(json.loads(report.to_json()))
    else:
        print_text(markdown)
    progress(f"the report is {folder / _REPORT}, the picture {folder / _PICTURE}")
    return 0
