"""`gitrain probe`, against a real service."""

import json

import pytest
from tests.gitrain.probes.service import KNOWN, serving

from gitrain.cli.main import main
from gitrain.documents import parse_json
from gitrain.probes.report import ProbeReport


@pytest.fixture(scope="module")
def url():
    with serving() as address:
        yield address


@pytest.fixture
def root(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.gitrain]\nproject = "parcels:PROJECT"\n')
    (tmp_path / "environments").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "known_answers.json").write_text(json.dumps(KNOWN))
    (tmp_path / "environments" / "preprod.yaml").write_text(
        "schema_version: 1\nrelease: 1.4.0\n"
        f"digest: sha256:{'0' * 64}\n"
        "probes:\n"
        "  smoke: {ready_seconds: 20}\n"
        "  contract: {requests: 5}\n"
        "  load: {rate: 100, seconds: 5, warm_up_seconds: 0.1, limits: {p99_ms: 5000, missing: 0.1}}\n"
    )
    return tmp_path


def run(root, *words):
    return main(["-C", str(root), "probe", *words])


def test_smoke(root, url, capsys):
    code = run(root, "smoke", url, "--environment", "preprod")

    shown = capsys.readouterr()
    assert code == 0
    assert shown.out.startswith("## ✅ Probe smoke")
    assert "the service says that it is 1.4.0, as expected" in shown.out
    assert "smoke: 6 known rows" in shown.err


def test_smoke_expects_the_release_that_is_named(root, url, capsys):
    assert run(root, "smoke", f"{url}/", "--release", "1.5.0", "--json") == 1

    report = parse_json(ProbeReport, capsys.readouterr().out, source="stdout")
    assert [(each.name, each.outcome.value) for each in report.verdicts if each.outcome.value != "PASSED"] == [
        ("smoke:release", "FAILED")
    ]
    assert report.environment is None


def test_load_takes_limits_from_the_environment_and_from_options(root, url, capsys):
    out = root / "report.json"

    code = run(
        root, "load", url, "--environment", "preprod", "--rate", "30", "--limit", "p50_ms=4000", "--out", str(out),
        "--json",
    )  # fmt: skip

    shown = capsys.readouterr().out
    assert code == 0, shown
    report = parse_json(ProbeReport, out.read_text(), source="report.json")
    assert report == parse_json(ProbeReport, shown, source="stdout")
    assert report.environment == "preprod"
    by_name = {each.name: each for each in report.verdicts}
    assert by_name["load:schedule"].figures["wanted_rate"] == pytest.approx(30, abs=1)
    assert by_name["load:p99"].figures["limit_ms"] == 5000
    assert by_name["load:p50"].figures["limit_ms"] == 4000
    assert by_name["load:missing"].figures["missing"] == 0


def test_load_sends_the_rows_of_a_file(root, url, capsys):
    rows = root / "rows.jsonl"
    rows.write_text('{"size": 5, "place": "south"}\n{"parcels": [{"size": 1, "place": "no"}]}\n')

    # The second line is refused by the service.
    assert run(root, "load", url, "--input", str(rows), "--rate", "40", "--seconds", "0.5", "--warm-up", "0") == 1
    assert "10 answered with 422" in capsys.readouterr().out


def test_too_few_requests_are_inconclusive(root, url, capsys):
    assert run(root, "load", url, "--rate", "20", "--seconds", "0.5", "--warm-up", "0", "--limit", "p99_ms=9999") == 4
    assert "too few for the slowest 1.00%" in capsys.readouterr().out


@pytest.mark.slow
def test_contract(root, url, capsys):
    code = run(root, "contract", url, "--environment", "preprod", "--seed", "5", "--json")

    report = parse_json(ProbeReport, capsys.readouterr().out, source="stdout")
    assert code == 0, report
    assert report.probe == "contract"
    assert {each.name for each in report.verdicts} >= {"contract:server-errors", "contract:hostile"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("smoke", "localhost"), "is no address of a service"),
        (("smoke", "http://ada:secret@h"), "is no address of a service"),
        (("smoke", "ftp://h"), "is no address of a service"),
        (("smoke", "http://h", "--environment", "prod"), "there is no environment 'prod'"),
        (("smoke", "http://h", "--environment", "../x"), "no name of an environment"),
        (("smoke", "http://h", "--known", "missing.json"), "missing.json cannot be read"),
        (("load", "http://h", "--limit", "p99_ms"), "is no limit: it has no ="),
        (("load", "http://h", "--limit", "p99_ms=soon"), "is no limit"),
        (("load", "http://h", "--limit", "p98_ms=3"), "did you mean 'p99_ms'"),
        (("load", "http://h", "--rate", "0"), "'rate' is 0"),
        (("contract", "http://h", "--requests", "0"), "--requests is 0"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_sent(root, capsys, words, message):
    assert run(root, *words) == 2
    assert message in capsys.readouterr().err


def test_the_environments_that_there_are_are_named(root, capsys):
    assert run(root, "smoke", "http://h", "--environment", "prod") == 2
    assert "name one of these: preprod" in capsys.readouterr().err


def test_where_nobody_answers(root, capsys):
    assert run(root, "smoke", "http://127.0.0.1:9", "--ready-seconds", "0.1") == 1
    assert "was not ready within 0.1 s" in capsys.readouterr().out
    assert run(root, "load", "http://127.0.0.1:9", "--rate", "1", "--seconds", "1") == 3
    assert "got no answer" in capsys.readouterr().err
