"""`gitrain predict`."""

import argparse

from gitrain.cli.console import print_json, print_text, progress_to_stderr
from gitrain.operations.predict_batch import predict_batch
from gitrain.reports.batch_markdown import render_batch
from gitrain.wiring.serving import open_batch, predict_with_release

__all__ = ["predict"]


def predict(arguments: argparse.Namespace) -> int:
    """Predict the rows of a file, by this tree or by a release."""
    if arguments.release is not None:
        return predict_with_release(
            arguments.directory,
            arguments.release,
            arguments.input,
            arguments.output,
            store=arguments.store,
            as_json=arguments.json,
        )
    progress = progress_to_stderr()
    with open_batch(arguments.directory, arguments.input, arguments.output, store=arguments.store) as files:
        report = predict_batch(
            files.batch, files.source, files.output, workspace=files.workspace, progress=progress, workers=files.workers
        )
    if arguments.json:
        print_json(report.model_dump(mode="json"))
    else:
        print_text(render_batch(report))
    return report.outcome.exit_code
