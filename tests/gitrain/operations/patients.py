"""The project of patients, run by its stages in this process: no Python is started for each."""

import os
import subprocess
import sys
from pathlib import Path

from tests.projects.tumours.tumours import PROJECT

from gitrain.documents import parse_yaml
from gitrain.integrations.files import LocalMemo, LocalWorkspace
from gitrain.integrations.onnx.converter import OnnxConverter
from gitrain.integrations.skops import SkopsFormat
from gitrain.operations.build_features import build_features
from gitrain.operations.evaluate import evaluate
from gitrain.operations.export_model import export_model
from gitrain.operations.ingest import ingest
from gitrain.operations.stage import Stage
from gitrain.operations.train import train
from gitrain.operations.validate_data import validate_data
from gitrain.pipeline.params import Params
from gitrain.project import Project

__all__ = ["TUMOURS", "commit_run", "patients_stage", "run_command", "run_stages", "take_in"]

TUMOURS = Path(__file__).parents[2] / "projects" / "tumours"


def patients_stage(root: Path, project: Project = PROJECT) -> Stage:
    workspace = LocalWorkspace(root)
    return Stage(
        project=project,
        params=parse_yaml(Params, workspace.read_text("params.yaml"), source="params.yaml"),
        workspace=workspace,
        memo=LocalMemo(folder=root / ".gitrain" / "memo", root=root),
        code="sha256:0",
        progress=lambda line: None,
    )


def run_command(root: Path, *command: str) -> str:
    line = [sys.executable, "-m", *command] if command[0] == "dvc" else list(command)
    return subprocess.run(line, cwd=root, env=os.environ, check=True, capture_output=True, text=True).stdout


def run_stages(root: Path, *, through: str | None = None) -> None:
    """Run the stages without DVC, which would start a Python for each; then DVC takes what they wrote."""
    if through is not None:
        text = (root / "params.yaml").read_text()
        before = next(line for line in text.splitlines() if line.startswith("  through:"))
        (root / "params.yaml").write_text(text.replace(before, f'  through: "{through}"'))
    stage = patients_stage(root)
    ingest(stage)
    validate_data(stage)
    build_features(stage)
    train(stage, SkopsFormat())
    evaluate(stage, SkopsFormat())
    export_model(stage, SkopsFormat(), OnnxConverter())


def take_in(root: Path, message: str = "The source has changed") -> None:
    """As after an `ingest` that gave what lies in data/raw now: validate, build features, commit."""
    stage = patients_stage(root)
    validate_data(stage)
    build_features(stage)
    commit_run(root, message)


def commit_run(root: Path, message: str) -> None:
    run_command(root, "dvc", "commit", "-q", "--force")
    run_command(root, "git", "add", "--all")
    run_command(root, "git", "commit", "-q", "-m", message)
