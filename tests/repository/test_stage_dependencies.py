"""Each stage of dvc.yaml depends on the code that its outputs come from."""

import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]

# What a stage's command does, and what the command's wiring hands to it.
FILES = "gitrain.integrations.files"
SKOPS = "gitrain.integrations.skops"
CODE = {
    "ingest": ("gitrain.operations.ingest", FILES, "flight_delay.ingest"),
    "validate": ("gitrain.operations.validate_data", FILES, "flight_delay.contract"),
    "features": (
        "gitrain.operations.build_features",
        FILES,
        "flight_delay.features",
        "flight_delay.contract",
        "flight_delay.model",  # the target
    ),
    "train": ("gitrain.operations.train", SKOPS, "flight_delay.model"),
    "evaluate": ("gitrain.operations.evaluate", FILES, SKOPS, "flight_delay.contract", "flight_delay.model"),
    "export": (
        "gitrain.operations.export_model",
        FILES,
        SKOPS,
        "gitrain.integrations.onnx.converter",
        "flight_delay.contract",
        "flight_delay.features",  # the entity
        "flight_delay.model",  # the target
    ),
}
# They pass values and errors around and have no say in what an output holds; project.py composes all of it.
PASSED_OVER = {
    "gitrain.documents",
    "gitrain.errors",
    "gitrain.lineage",
    "gitrain.operations.stage",
    "gitrain.pipeline",
    "gitrain.pipeline.layout",
    "gitrain.pipeline.params",
    "gitrain.pipeline.workspace",
    "gitrain.project",
    "gitrain.verdicts",
}
# The shape of expressions that a project hands over, not their computation.
DECLARATIONS = {
    "gitrain.block_statistics",
    "gitrain.features.definitions",
    "gitrain.metrics",
    "gitrain.training.estimators",
}


def stages():
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("gitrain", "flight_delay", cache_dir=None)


def code_of(graph, roots):
    """The modules that `roots` import, directly or not."""
    found, waiting = set(), list(roots)
    while waiting:
        module = waiting.pop()
        if module in found or module in PASSED_OVER:
            continue
        found.add(module)
        # A project's modules import what they declare things with; their own stage runs it.
        imported = graph.find_modules_directly_imported_by(module)
        waiting.extend(imported - DECLARATIONS if module.startswith("flight_delay") else imported)
    return found


def file_of(module):
    base = ROOT / "src" / module.replace(".", "/")
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


@pytest.mark.parametrize("stage", CODE)
def test_a_stage_depends_on_all_of_its_code(stage, graph):
    dependencies = [ROOT / dependency for dependency in stages()[stage]["deps"]]

    missing = [
        str(file_of(module).relative_to(ROOT))
        for module in sorted(code_of(graph, CODE[stage]))
        if not any(file_of(module).is_relative_to(dependency) for dependency in dependencies)
    ]

    assert missing == []


@pytest.mark.parametrize("stage", CODE)
def test_a_stage_depends_on_the_libraries_and_on_the_project(stage):
    assert {"requirements.lock", "src/flight_delay/project.py"} <= set(stages()[stage]["deps"])


@pytest.mark.parametrize("stage", CODE)
def test_every_dependency_on_code_exists(stage):
    for dependency in stages()[stage]["deps"]:
        if dependency.startswith(("src/", "requirements")):
            assert (ROOT / dependency).exists(), dependency


def test_dvc_reads_the_pipeline(tmp_path):
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=tmp_path, check=True)

    done = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list", "--name-only"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == list(CODE)


def test_every_stage_is_looked_at():
    assert set(CODE) == set(stages())


def test_code_that_is_left_out_is_found(graph):
    assert "gitrain.data.validation" in code_of(graph, CODE["validate"])
    assert "gitrain.features.engine" in code_of(graph, CODE["features"])
