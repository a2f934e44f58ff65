import json

import pytest

from gitrain.cli import main


@pytest.fixture
def unclean(parcels_copy):
    """A repository that is refused for two reasons, before its model is judged."""
    (parcels_copy / "left.txt").write_text("left\n")
    params = parcels_copy / "params.yaml"
    params.write_text(params.read_text().replace("learning_rate: 0.1", "learning_rate: 0.2"))
    return str(parcels_copy)


def test_a_refused_commit_is_a_verdict_with_all_reasons(unclean, capsys):
    assert main(["-C", unclean, "release", "build", "--json"]) == 1

    told = json.loads(capsys.readouterr().out)
    assert (told["outcome"], told["version"], told["record"], told["published"]) == ("FAILED", None, None, False)
    failed = {verdict["name"] for verdict in told["verdicts"] if verdict["outcome"] == "FAILED"}
    assert {"release:commit", "lock:params"} <= failed


def test_a_refused_commit_in_words(unclean, capsys):
    assert main(["-C", unclean, "release", "build"]) == 1

    written = capsys.readouterr()
    assert written.out.startswith("## ❌ Commit ")
    assert "left.txt, params.yaml differ from commit" in written.out
    assert "There is no release: mend what is named above, commit, and build again." in written.out
    assert "release: dvc.lock against commit" in written.err


def test_no_engine_is_an_error_that_names_each(parcels_copy, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nowhere")

    assert main(["-C", str(parcels_copy), "release", "containerize", "1.0.0"]) == 3
    assert "no container engine works here: docker: it is not on PATH; podman: " in capsys.readouterr().err
