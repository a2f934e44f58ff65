"""A batch by a release: its own code and model, in a process of its own."""

import importlib.metadata
import shutil

import polars as pl
import pytest

from gitrain.cli.main import main
from gitrain.release.bundle import BundleManifest
from gitrain.serving.batch_report import BatchReport
from gitrain.wiring.releases import open_release

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def released(released_parcels, tmp_path_factory):
    """A repository with a release that has Gitrain's source in it, and with a store."""
    root = tmp_path_factory.mktemp("released") / "parcels"
    shutil.copytree(released_parcels, root, symlinks=True)
    assert main(["-C", str(root), "features", "materialize"]) == 0
    return root


def predict(root, output, *more) -> int:
    source = root / "data/validated/parcels/2024-04.parquet"
    return main(["-C", str(root), "predict", "--input", str(source), "--output", str(output), *more])


def test_a_release_predicts_with_what_it_was_built_from(released, tmp_path, capfd):
    before = BundleManifest.of(open_release(str(released))).digest
    # What the tree has become since is none of the release's.
    manifest = released / "models/serving.json"
    text = manifest.read_text(encoding="utf-8")
    assert predict(released, tmp_path / "tree.parquet") == 0
    manifest.write_text("{}", encoding="utf-8")
    try:
        capfd.readouterr()
        assert predict(released, tmp_path / "release.parquet", "--release", "latest", "--json") == 0
    finally:
        manifest.write_text(text, encoding="utf-8")

    report = BatchReport.model_validate_json(capfd.readouterr().out)
    assert (report.release, report.predicted) == ("0.1.0", 900)
    tree, release = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("tree", "release"))
    assert set(release["release"]) == {"0.1.0"}
    assert release.drop("release").equals(tree.drop("release"))
    # Nothing was added to the bundle, and nothing to its folder.
    assert BundleManifest.of(open_release(str(released))).digest == before


def test_another_environment_than_the_release_s_is_refused(released, tmp_path, capsys, monkeypatch):
    found = importlib.metadata.version

    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.0.1" if name == "polars" else found(name))
    assert predict(released, tmp_path / "out.parquet", "--release", "0.1.0") == 2
    assert f"built with polars {found('polars')}, and polars 0.0.1 is installed" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
