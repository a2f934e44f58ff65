import json
import shutil
from pathlib import Path

import pytest

from gitrain.cli.main import main
from gitrain.documents import parse_json
from gitrain.pipeline.replay import ReplayReport

_TESTS = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "parcels"
    shutil.copytree(_TESTS / "projects" / "parcels", folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(_TESTS.parent / "requirements.lock", folder)
    return folder


@pytest.mark.slow
def test_a_year_as_json_as_text_and_as_a_picture(root, capsys):
    words = ["-C", str(root), "rehearse", "--year", "--bootstrap", "2", "--through", "2024-03"]
    assert main([*words, "--json"]) == 0
    shown = capsys.readouterr()
    folder = root / ".gitrain" / "replay"
    report = parse_json(ReplayReport, shown.out, source="stdout")

    assert json.loads((folder / "replay.json").read_text()) == json.loads(shown.out)
    assert [each.batch for each in report.batches] == ["2024-03"]
    assert (folder / "replay.md").read_text().startswith("# parcels: 2024-03 to 2024-03, lived again\n")
    assert (folder / "replay.svg").read_text().startswith("<svg ")
    assert list((folder / "log").iterdir()) == []
    assert "replay: 2024-03: same" in shown.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--year", "--steps"], "--year and --steps do not go together"),
        (["--year", "--until", "gates"], "--year and --until do not go together"),
        (["--year", "--bootstrap", "1"], "--bootstrap 1 is too few batches"),
        (["--bootstrap", "3"], "--bootstrap needs --year"),
        (["--through", "2024-05"], "--through needs --year"),
    ],
)
def test_what_does_not_go_together(root, capsys, words, said):
    assert main(["-C", str(root), "rehearse", *words]) == 2
    assert said in capsys.readouterr().err
