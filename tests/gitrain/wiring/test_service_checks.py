"""`gitrain check service` on a real Bento: this tree's service, and a release that was built from it."""

import json
import shutil
import subprocess
from datetime import date

import pytest
from tests.gitrain.operations.test_build_release import GITRAIN

from gitrain.checks.report import CheckReport
from gitrain.checks.service import CHECKS
from gitrain.cli.main import main
from gitrain.documents import parse_json
from gitrain.errors import ReleaseError, SettingsError
from gitrain.operations.build_release import build_release
from gitrain.wiring.bundles import open_pack_tools, open_release_tools
from gitrain.wiring.repository import open_stage
from gitrain.wiring.service_checks import ServiceChoice, declares_service, open_service_tools

# As fast as the machine is; only what is broken fails.
ENVIRONMENT = """
schema_version: 1
runtime: {resources: {memory: 700Mi, cpu: 1}, start_seconds: 90, load_seconds: 30, stop_seconds: 60}
probes:
  contract: {requests: 8}
  load: {rate: 4, seconds: 4, warm_up_seconds: 0.5, limits: {p50_ms: 2000, missing: 0, stale: 0}}
"""


@pytest.fixture(scope="module")
def repository(parcels, tmp_path_factory):
    root = tmp_path_factory.mktemp("served") / "parcels"
    shutil.copytree(parcels, root, symlinks=True)
    with (root / "requirements.lock").open("a") as stream:
        stream.write(GITRAIN)
    (root / "environments").mkdir()
    (root / "environments" / "test.yaml").write_text(ENVIRONMENT)
    for arguments in (("add", "--all"), ("commit", "-q", "-m", "Gitrain is locked, and there is an environment")):
        subprocess.run(["git", *arguments], cwd=root, check=True)
    return root


def checked(root, capsys, *words):
    """The exit code, and the verdicts by name."""
    code = main(["-C", str(root), "check", "service", "--environment", "test", "--rows", "30", "--json", *words])
    report = parse_json(CheckReport, capsys.readouterr().out, source="stdout")
    return code, {verdict.name.partition(":")[2]: verdict for verdict in report.verdicts}


@pytest.mark.slow
def test_this_trees_service(repository, capsys):
    code, found = checked(repository, capsys, "--tree")

    assert {name: each.reason for name, each in found.items() if each.outcome.value != "PASSED"} == {}
    assert code == 0
    assert len(found) == len(CHECKS)
    assert found["correct"].figures["rows"] == 30
    assert found["correct"].figures["largest_difference"] < 1e-6
    # Its first process and a worker at least.
    assert found["memory"].figures["processes"] >= 2
    assert subprocess.check_output(["git", "status", "--porcelain"], cwd=repository) == b""


@pytest.mark.slow
def test_a_release_and_another_tree(repository, capsys):
    built = build_release(
        open_release_tools(str(repository), lambda _: None, today=date(2026, 11, 20)),
        open_pack_tools(str(repository), None),
        base=None,
        bump=None,
    )
    assert built.record is not None

    code, found = checked(repository, capsys)

    assert {name: each.reason for name, each in found.items() if each.outcome.value != "PASSED"} == {}
    assert code == 0
    assert found["identity"].figures["version"] == built.record.identity.version
    assert "30 rows of the holdout" in found["correct"].reason
    assert found["fits"].figures["libraries"] >= 5

    # A tree with another lock has another holdout: the release's own known rows are asked.
    lock = repository / "dvc.lock"
    kept = lock.read_text()
    lock.write_text(f"{kept}# later\n")
    try:
        stage = open_stage(str(repository), lambda _: None)
        tools = open_service_tools(stage, str(repository), ServiceChoice(environment="test"))
        assert tools.compare is None
        assert tools.release.name == f"release {built.record.identity.version}"
    finally:
        lock.write_text(kept)


def test_what_is_missing_is_named(repository, tmp_path):
    stage = open_stage(str(repository), lambda _: None)

    with pytest.raises(ReleaseError):
        open_service_tools(stage, str(repository), ServiceChoice(release="9.9.9"))
    root = tmp_path / "parcels"
    shutil.copytree(repository, root, symlinks=True)
    (root / "models" / "known_answers.json").unlink()
    with pytest.raises(SettingsError, match="known_answers"):
        open_service_tools(open_stage(str(root), lambda _: None), str(root), ServiceChoice(tree=True))
    assert declares_service(root)
    (root / "bentofile.yaml").unlink()
    assert not declares_service(root)


def test_the_quick_form_spends_less(repository):
    stage = open_stage(str(repository), lambda _: None)
    environment = repository / "environments" / "large.yaml"
    environment.write_text("schema_version: 1\nprobes: {contract: {requests: 9000}, load: {seconds: 60}}\n")
    try:
        chosen = ServiceChoice(environment="large", tree=True, quick=True)
        tools = open_service_tools(stage, str(repository), chosen)
    finally:
        environment.unlink()

    assert (tools.requests, tools.load.seconds) == (100, 5)
    assert json.dumps(tools.release.facts["released"]) == "false"
