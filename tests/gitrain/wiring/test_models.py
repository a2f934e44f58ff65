"""What is served is opened only as it was written, and with no more than it needs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gitrain.errors import ModelError, SettingsError
from gitrain.lineage import digest_of_file
from gitrain.online.columns import columns_of
from gitrain.wiring.models import open_served_model, open_serving_manifest

pytestmark = pytest.mark.slow


@pytest.fixture
def served(parcels: Path, tmp_path: Path) -> Path:
    """What a bundle has of the model: a folder without data, cache or repository."""
    shutil.copytree(parcels / "models", tmp_path / "models")
    (tmp_path / "models/model.skops").unlink()
    for name in ("pyproject.toml", "params.yaml"):
        shutil.copy(parcels / name, tmp_path)
    return tmp_path


@pytest.fixture
def served_by_skops(served: Path, parcels: Path) -> Path:
    """The same with the judged model itself."""
    path = served / "models/serving/model.skops"
    (served / "models/serving/model.onnx").unlink()
    shutil.copy(parcels / "models/model.skops", path)
    change(served, format="skops", path="models/serving/model.skops", digest=digest_of_file(path))
    return served


def change(root: Path, **values: str) -> None:
    path = root / "models/serving.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_either_form_gives_the_scores_of_the_predictions(
    parcels: Path, served: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    features = pl.read_parquet(parcels / "data/features/2024-04.parquet").filter(pl.col("late").is_not_null())
    judged = pl.read_parquet(parcels / "data/predictions/holdout.parquet")["score"].to_numpy()
    for form in ("onnx", "skops"):
        if form == "skops":
            request.getfixturevalue("served_by_skops")
        model = open_served_model(served)
        assert model.format == form
        rows = columns_of(features, model.columns)
        assert np.abs(model.score(rows) - judged).max() < 1e-12
        # One row, no row, and a row that lacks a column.
        assert model.score({name: values[:1] for name, values in rows.items()})[0] == pytest.approx(judged[0])
        assert model.score({name: values[:0] for name, values in rows.items()}).shape == (0,)
        with pytest.raises(ModelError, match="no column 'zone'"):
            model.score({name: values for name, values in rows.items() if name != "zone"})


def modules(root: Path) -> set[str]:
    program = (
        "import sys\nfrom pathlib import Path\nfrom gitrain.wiring.models import open_served_model\n"
        f"open_served_model(Path({str(root)!r}))\n"
        "print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_a_service_with_onnx_never_loads_scikit_learn(served: Path) -> None:
    found = modules(served)
    assert {"onnxruntime", "polars"} <= found
    assert {"sklearn", "skops", "scipy", "onnx", "skl2onnx", "dvc", "mlflow"} & found == set()


def test_a_service_with_skops_never_loads_onnx(served_by_skops: Path) -> None:
    found = modules(served_by_skops)
    assert {"sklearn", "skops"} <= found
    assert {"onnxruntime", "onnx", "skl2onnx"} & found == set()


@pytest.mark.parametrize("form", ["served", "served_by_skops"])
def test_a_changed_bit_is_refused_before_anything_is_loaded(form: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(form)
    path = root / open_serving_manifest(root).path
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"has the digest sha256:\w+, and models/serving.json names"):
        open_served_model(root)


def test_what_is_missing_or_altered_is_named(served: Path) -> None:
    manifest = served / "models/serving.json"
    original = manifest.read_text()
    change(served, path="models/model.json")
    with pytest.raises(ModelError, match=r"names 'models/model\.json' as the model in onnx"):
        open_served_model(served)
    change(served, path="../../etc/passwd")
    with pytest.raises(ModelError, match="as the model in onnx"):
        open_served_model(served)
    manifest.write_text(original.replace('"format": "onnx"', '"format": "pickle"'))
    with pytest.raises(SettingsError, match="'format' is 'pickle'"):
        open_served_model(served)
    manifest.write_text(original)
    (served / "models/serving/model.onnx").unlink()
    with pytest.raises(ModelError, match=r"models/serving/model.onnx cannot be read: No such file"):
        open_served_model(served)
    manifest.unlink()
    with pytest.raises(ModelError, match=r"models/serving.json cannot be read"):
        open_served_model(served)


def test_two_manifests_of_different_models_are_refused(served_by_skops: Path) -> None:
    path = served_by_skops / "models/model.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "model_digest": "sha256:" + "0" * 64}))
    with pytest.raises(ModelError, match="is about a model with sha256:0000"):
        open_served_model(served_by_skops)
