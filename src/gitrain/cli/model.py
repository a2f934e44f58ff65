"""`gitrain train`, `gitrain evaluate` and `gitrain export`."""

import argparse
import json

from gitrain.cli.console import print_json, print_text, progress_to_stderr
from gitrain.cli.durations import timed
from gitrain.operations.evaluate import evaluate as evaluate_model
from gitrain.operations.export_model import export_model
from gitrain.operations.train import train as train_model
from gitrain.reports.evaluation_markdown import render_evaluation
from gitrain.wiring.models import open_converter
from gitrain.wiring.repository import open_model_format, open_stage

__all__ = ["evaluate", "export", "train"]


def train(arguments: argparse.Namespace) -> int:
    """Fit the model on the batches before the holdout."""
    stage = open_stage(arguments.directory, progress_to_stderr())
    with timed(stage.workspace, "train"):
        manifest = train_model(stage, open_model_format(stage.workspace.root))
    if arguments.json:
        print_json(manifest.model_dump(mode="json"))
    return 0


def evaluate(arguments: argparse.Namespace) -> int:
    """Measure the model on the holdout."""
    stage = open_stage(arguments.directory, progress_to_stderr())
    with timed(stage.workspace, "evaluate"):
        evaluation = evaluate_model(stage, open_model_format(stage.workspace.root))
    if arguments.json:
        print_json(json.loads(evaluation.model_dump_json()))
    else:
        print_text(render_evaluation(evaluation))
    return 0


def export(arguments: argparse.Namespace) -> int:
    """Write the model in the form in which it is served."""
    stage = open_stage(arguments.directory, progress_to_stderr())
    with timed(stage.workspace, "export"):
        manifest = export_model(stage, open_model_format(stage.workspace.root), open_converter())
    if arguments.json:
        print_json(manifest.model_dump(mode="json"))
    return 0
