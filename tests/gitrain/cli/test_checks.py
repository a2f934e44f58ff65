import json
import shutil
from pathlib import Path

import pytest
from tests.gitrain.checks import trips

from gitrain.checks.report import CheckReport
from gitrain.cli.main import main
from gitrain.documents import parse_json
from gitrain.operations.check_groups import GROUPS


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    root = tmp_path_factory.mktemp("trips")
    trips.write_repository(trips.trained(root, checks={"tiny_batch_rows": 4}))
    return root


@pytest.fixture
def root(model, tmp_path):
    return Path(shutil.copytree(model, tmp_path / "repository"))


def run(root, *words):
    return main(["-C", str(root), "check", *words])


def test_a_group_that_passes(root, capsys):
    code = run(root, "training", "--out", str(root / "report" / "checks.md"))

    shown = capsys.readouterr()
    assert code == 0
    assert shown.out.startswith("# ✅ Checks of trips: PASSED\n\n12 PASSED.\n")
    assert (root / "report" / "checks.md").read_text() == shown.out
    assert "training:refit-identical" in shown.err


def test_as_json(root, capsys):
    code = run(root, "behaviour", "--json")

    report = parse_json(CheckReport, capsys.readouterr().out, source="stdout")
    assert code == 0
    assert [(verdict.group, verdict.name) for verdict in report.verdicts] == [
        ("behaviour", "behaviour:steeper-is-later"),
        ("behaviour", "behaviour:noise-says-nothing"),
    ]
    assert report.seconds["behaviour"] >= 0


def test_a_failure_decides(root, capsys):
    curve = root / "reports" / "training_curve.csv"
    curve.write_text("iteration,training_loss,validation_loss\n1,0.9,0.9\n2,0.95,nan\n")

    code = run(root, "training", "--only", "training:loss-falls", "--only", "training:sane-iteration", "--json")

    payload = json.loads(capsys.readouterr().out)
    assert code == 1
    assert [verdict["outcome"] for verdict in payload["verdicts"]] == ["FAILED", "FAILED"]


def test_one_behaviour(root, capsys):
    assert run(root, "behaviour", "--only", "behaviour:noise-says-nothing") == 0
    assert "1 PASSED" in capsys.readouterr().out


def test_an_unknown_check_is_refused_with_the_nearest(root, capsys):
    assert run(root, "training", "--only", "training:loss-fals") == 2
    assert "did you mean 'training:loss-falls'?" in capsys.readouterr().err


def test_what_keeps_a_group_from_running_is_an_error(root, capsys):
    (root / "models" / "model.json").unlink()

    assert run(root, "behaviour") == 3
    assert "models/model.json is missing" in capsys.readouterr().err


def test_all_goes_on_after_a_failure_and_the_worst_decides(root, capsys):
    # No Git, no DVC: these groups cannot run, and the others do.
    code = run(root, "all", "--json")

    report = parse_json(CheckReport, capsys.readouterr().out, source="stdout")
    outcomes = {verdict.name: verdict.outcome.value for verdict in report.verdicts}
    assert code == 3
    # It declares no service.
    assert list(report.seconds) == [name for name in GROUPS if name != "service"]
    assert outcomes["training:refit-identical"] == "PASSED"
    assert outcomes["behaviour:steeper-is-later"] == "PASSED"
    assert "ERROR" in outcomes.values()


def test_a_project_without_a_service_has_none_to_check(root, capsys):
    assert run(root, "service", "--tree") == 2
    assert "declares no service" in capsys.readouterr().err


def test_the_list_names_every_check(capsys):
    assert main(["check", "list"]) == 0
    shown = capsys.readouterr().out
    definitions = [definition for group in GROUPS.values() for definition in group.definitions]
    assert all(f"| `{each.name}` | {each.group} |" in shown for each in definitions)

    assert main(["check", "list", "--json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == [each.name for each in definitions]
    assert len({each.name for each in definitions}) == len(definitions)
    assert all(each.group in GROUPS and each.catches for each in definitions)
