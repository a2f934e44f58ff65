"""The wheel holds `gitrain`, all of it, and nothing else."""

import zipfile
from pathlib import Path

from tools.wheel import build, foreign_files, missing_files


def test_the_wheel_holds_gitrain_alone(root: Path, tmp_path: Path) -> None:
    wheel = build(root, tmp_path)
    names = zipfile.ZipFile(wheel).namelist()
    assert foreign_files(wheel) == []
    assert missing_files(wheel, root) == []
    assert "gitrain/py.typed" in names
    assert not [name for name in names if "flight_delay" in name or "__pycache__" in name]
    metadata = zipfile.ZipFile(wheel).read(next(name for name in names if name.endswith("/METADATA"))).decode()
    # An extra for everybody's needs, and none of them needed by all.
    assert "Provides-Extra: dvc" in metadata
    assert "Provides-Extra: mlflow" in metadata
    assert "\nRequires-Dist: dvc>=3.67; extra == 'dvc'" in metadata


def test_what_does_not_belong_and_what_lacks_is_found(tmp_path: Path) -> None:
    (tmp_path / "src" / "gitrain").mkdir(parents=True)
    for name in ("__init__.py", "py.typed"):
        (tmp_path / "src" / "gitrain" / name).touch()
    wheel = tmp_path / "example.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("gitrain/__init__.py", "flight_delay/__init__.py", "gitrain-0.1.0.dist-info/METADATA"):
            archive.writestr(name, "")
    assert foreign_files(wheel) == ["flight_delay/__init__.py"]
    assert missing_files(wheel, tmp_path) == ["gitrain/py.typed"]
