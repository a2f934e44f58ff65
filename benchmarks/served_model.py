"""The served model against the judged one: how quick each is, how far apart they are, and what the comparison finds.

    OMP_NUM_THREADS=1 python benchmarks/served_model.py [--blocks 30] [--mutants 100]

Two to three minutes on one core; it writes benchmarks/results/served_model.json and exits 1 if one row in ONNX is not
twenty times quicker, or if an estimator of the project cannot be served in ONNX. It needs a finished pipeline.

* Speed: `score` on features as the online store gives them, ONNX Runtime and scikit-learn by turns, in
  milliseconds of processor time: what a call costs, whatever else the machine does.
* Parity: each estimator of the project, fitted on the month before the holdout, converted with 64-bit and with 32-bit
  numbers, on all rows of the holdout and the rows that are made to find a difference.
* Mutants: the model that is served with one number of its trees altered. How many of them does the comparison refuse?
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
from numpy.typing import NDArray
from onnx import numpy_helper

from gitrain.errors import ModelError
from gitrain.evaluation.scoring import score
from gitrain.integrations.onnx.converter import OnnxConverter
from gitrain.integrations.onnx.session import OnnxModel
from gitrain.integrations.skops_served import SkopsModel
from gitrain.online.columns import columns_of
from gitrain.operations.stage import Stage
from gitrain.operations.train import make_estimator
from gitrain.pipeline.layout import FEATURES, MODEL, MODEL_MANIFEST, partition
from gitrain.serving.adversarial import adversarial_rows
from gitrain.serving.model import ServedModel
from gitrain.serving.split_points import split_points
from gitrain.training.manifest import ModelManifest
from gitrain.training.matrix import feature_matrix
from gitrain.wiring.models import open_served_model
from gitrain.wiring.repository import open_model_format, open_stage

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "served_model.json"
LEAST_RATIO = 20


def milliseconds(calls: Mapping[str, Callable[[], Any]], *, blocks: int, size: int) -> dict[str, float]:
    """The median of each over blocks of calls, taken by turns."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(blocks):
        for name, call in calls.items():
            begun = time.process_time()
            for _ in range(size):
                call()
            taken[name].append((time.process_time() - begun) * 1000 / size)
    return {name: float(f"{statistics.median(values):.3g}") for name, values in taken.items()}


def speed(features: pl.DataFrame, blocks: int) -> dict[str, dict[str, float]]:
    manifest = ModelManifest.model_validate_json((ROOT / MODEL_MANIFEST).read_text())
    served = open_served_model(ROOT)
    judged = SkopsModel((ROOT / MODEL).read_bytes(), manifest.columns, name=MODEL)
    found = {}
    for rows, size in ((1, 20), (16, 20), (features.height, 1)):
        # Rows from the middle of the month: at its start much is null.
        first = (features.height - rows) // 2
        part = columns_of(features[first : first + rows], served.columns)
        calls = {"onnx": partial(served.score, part), "scikit-learn": partial(judged.score, part)}
        found[f"{rows:,} rows"] = milliseconds(calls, blocks=blocks, size=size)
    return found


def parity(stage: Stage, features: pl.DataFrame) -> dict[str, Any]:
    target = stage.project.target.name
    columns = ModelManifest.model_validate_json((ROOT / MODEL_MANIFEST).read_text()).columns
    training = stage.workspace.read_table(partition(FEATURES, None, stage.training_batches[-1]))
    training = training.filter(pl.col(target).is_not_null())
    found = {}
    for name in sorted(stage.project.estimators):
        params = stage.params.training.model_copy(update={"estimator": name})
        chosen = stage.params.model_copy(update={"training": params})
        estimator = make_estimator(replace(stage, params=chosen), columns)
        estimator.fit(feature_matrix(training, columns), training[target].to_numpy().astype(np.int8))
        matrix = feature_matrix(features, columns)
        made_up = adversarial_rows(
            features,
            stage.project.feature_contract,
            columns,
            split_points=split_points(estimator, columns, matrix),
            never_null=(),
            seed=0,
        )
        rows = {"holdout": matrix, "made up": made_up}
        judged = {kind: score(estimator, part, columns) for kind, part in rows.items()}
        converter = OnnxConverter()
        found[name] = {
            way: {kind: _apart(converter.load(content, name=name), part, judged[kind]) for kind, part in rows.items()}
            for way in converter.ways
            for content in [converter.convert(estimator, columns, way=way, never_null=())]
        }
    return found


def _apart(model: ServedModel, matrix: pl.DataFrame, judged: NDArray[np.float64]) -> float:
    return float(f"{np.abs(model.score(columns_of(matrix, model.columns)) - judged).max():.2g}")


def mutants(stage: Stage, features: pl.DataFrame, count: int) -> dict[str, Any]:
    """Of so many altered models of each kind, the share that some row gives away."""
    content = (ROOT / "models/serving/model.onnx").read_bytes()
    served = OnnxModel(content, name="served")
    estimator = open_model_format(ROOT).load((ROOT / MODEL).read_bytes(), name=MODEL)
    matrix = feature_matrix(features, served.columns)
    made_up = adversarial_rows(
        features,
        stage.project.feature_contract,
        served.columns,
        split_points=split_points(estimator, served.columns, matrix),
        never_null=(),
        seed=0,
    )
    rows = columns_of(pl.concat([matrix.head(5000), made_up]), served.columns)
    right = served.score(rows)
    random = np.random.default_rng(0)
    kinds: dict[str, tuple[str, Callable[[float], float]]] = {
        "a threshold, one float up": ("nodes_splits", lambda value: float(np.nextafter(value, np.inf))),
        "a threshold, rounded to 32 bits": ("nodes_splits", lambda value: float(np.float32(value))),
        "a threshold, moved by half of itself": ("nodes_splits", lambda value: value + abs(value) / 2 + 0.5),
        "a leaf, by 0.001": ("leaf_weights", lambda value: value + 0.001),
        "all thresholds rounded to 32 bits": ("nodes_splits", lambda value: float(np.float32(value))),
    }
    found = {}
    for kind, (name, change) in kinds.items():
        times = 1 if kind.startswith("all") else count
        refused = 0
        for _ in range(times):
            model = onnx.load_from_string(content)
            (tensor,) = [each.t for node in model.graph.node for each in node.attribute if each.name == name]
            values = numpy_helper.to_array(tensor).copy()
            for at in range(values.size) if kind.startswith("all") else [int(random.integers(values.size))]:
                values[at] = change(float(values[at]))
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
            try:
                apart = np.abs(OnnxModel(model.SerializeToString(), name="mutant").score(rows) - right).max()
            except ModelError:
                apart = 1.0
            refused += bool(apart > stage.params.serving.tolerance)
        found[kind] = refused / times
    return found


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--blocks", type=int, default=30, help="of calls that are timed (default 30)")
    arguments.add_argument("--mutants", type=int, default=100, help="of each kind (default 100)")
    asked = arguments.parse_args()
    stage = open_stage(str(ROOT), lambda line: None)
    features = stage.workspace.read_table(partition(FEATURES, None, stage.holdout[-1]))
    speeds = speed(features, asked.blocks)
    differences = parity(stage, features)
    result = {
        "schema_version": 1,
        "processor_ms": speeds,
        "largest_difference": differences,
        "mutants_refused": mutants(stage, features, asked.mutants),
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()},
        "versions": {name: metadata.version(name) for name in ("onnxruntime", "scikit-learn", "skl2onnx")},
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
    equal = all(max(ways["double"].values()) <= stage.params.serving.tolerance for ways in differences.values())
    one = speeds["1 rows"]
    return 0 if equal and one["scikit-learn"] >= LEAST_RATIO * one["onnx"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
