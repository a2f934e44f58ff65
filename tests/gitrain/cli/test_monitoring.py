import json
import subprocess
from pathlib import Path

import pytest
from tests.gitrain.monitored_parcels import MONTH, Month, write_log

from gitrain.cli.main import main
from gitrain.monitoring.report import MonitoringReport
from gitrain.wiring.repository import open_repository


@pytest.fixture
def with_environment(parcels_copy) -> Path:
    """A repository with an environment."""
    environments = parcels_copy / "environments"
    environments.mkdir()
    (environments / "test.yaml").write_text("schema_version: 1\nfollows: main\n", encoding="utf-8")
    for command in (("add", "environments"), ("commit", "-q", "-m", "An environment")):
        subprocess.run(["git", *command], cwd=parcels_copy, check=True, capture_output=True)
    return parcels_copy


@pytest.fixture
def monitored(with_environment) -> Path:
    """The same, whose service has logged a month."""
    features = open_repository(str(with_environment)).project.features
    write_log(with_environment / ".gitrain/predictions", Month.of(with_environment, features))
    return with_environment


def run(root: Path, *arguments: str) -> int:
    return main(["-C", str(root), "monitor", "run", *arguments])


def test_a_month_is_judged_and_written_in_every_form(monitored, tmp_path, capsys):
    files = {name: tmp_path / f"monitoring.{name}" for name in ("json", "html", "md", "prom")}

    code = run(
        monitored,
        *("--environment", "test", "--since", "2024-03-31", "--through", "2024-05-05"),
        *("--out", str(files["json"]), "--html", str(files["html"])),
        *("--markdown", str(files["md"]), "--prometheus", str(files["prom"]), "--json"),
    )

    shown = json.loads(capsys.readouterr().out)
    report = MonitoringReport.model_validate_json(files["json"].read_text(encoding="utf-8"))
    assert report == MonitoringReport.model_validate(shown)
    assert code == report.outcome.exit_code == 0
    assert (report.environment, report.window.days) == ("test", 30)
    assert not [each for each in report.verdicts if each.name == "service:errors"], "nobody was asked"
    assert all(path.stat().st_size > 300 for path in files.values())
    kept = list((monitored / ".gitrain/monitoring/test").iterdir())
    assert len(kept) == 1


def test_labels_figures_and_the_source_may_be_handed_over(monitored, tmp_path, capsys):
    figures = tmp_path / "metrics.txt"
    figures.write_text('gitrain_requests_total{status="200"} 90\ngitrain_requests_total{status="503"} 10\n')
    labels = monitored / f"data/validated/parcels/{MONTH}.parquet"

    code = run(
        monitored,
        *("--environment", "test", "--through", "2024-05-05", "--json", "--metrics", str(figures)),
        *("--labels", str(labels), "--labels-from-source"),
    )

    report = MonitoringReport.model_validate(json.loads(capsys.readouterr().out))
    assert code == 1
    assert next(each.outcome for each in report.verdicts if each.name == "service:errors") == "FAILED"
    assert report.labels.repeated == 900


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--environment", "nowhere"], "no environment 'nowhere'"),
        (["--environment", "test", "--since", "yesterday"], "neither a date nor a time"),
        (["--environment", "test", "--since", "2024-05-02", "--through", "2024-05-01"], "not before"),
        (["--environment", "test", "--labels", "labels.json"], "neither a .parquet nor a .csv"),
        (["--environment", "test", "--metrics", "nothing.txt"], "cannot be read"),
    ],
)
def test_what_cannot_be_is_said(with_environment, arguments, words, capsys):
    assert run(with_environment, *arguments) == 2
    assert words in capsys.readouterr().err


def test_an_issue_is_kept_from_what_was_written(monitored, tmp_path, capsys):
    origin, figures, written = tmp_path / "origin.git", tmp_path / "metrics.txt", tmp_path / "monitoring.json"
    figures.write_text('gitrain_requests_total{status="200"} 90\ngitrain_requests_total{status="503"} 10\n')
    for command in (("init", "-q", "--bare", str(origin)), ("remote", "add", "origin", str(origin))):
        subprocess.run(["git", *command], cwd=monitored, check=True, capture_output=True)
    given = ("--environment", "test", "--through", "2024-05-05", "--out", str(written))
    judged = ["-C", str(monitored), "monitor", "issue", str(written)]

    assert run(monitored, *given, "--metrics", str(figures)) == 1
    assert main([*judged, "--json"]) == 0
    assert run(monitored, *given) == 0
    capsys.readouterr()
    assert main(judged) == 0
    assert "its issue is closed" in capsys.readouterr().out
    assert main([*judged[:-1], str(tmp_path / "nothing.json")]) == 2

    said = subprocess.run(
        ["git", "log", "--format=%s", "issues"], cwd=origin, check=True, capture_output=True, text=True
    )
    assert said.stdout.splitlines()[:2] == ["Close monitoring/test", "Monitoring of test failed"]
