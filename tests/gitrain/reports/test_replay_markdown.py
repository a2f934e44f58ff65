from tests.gitrain.reports.replayed import year

from gitrain.documents import parse_json
from gitrain.pipeline.replay import ReplayReport
from gitrain.reports.replay_markdown import render_replay


def test_the_year_in_words():
    text = render_replay(year(), picture="replay.svg")

    assert text.startswith("# trips: 2013-04 to 2013-12, lived again\n")
    assert "Of 9 candidates 1 was promoted and 6 refused." in text
    assert (
        "log loss of a row is −0.0100 against the first model (95% over whole units: −0.0200 to −0.0010): better"
        in text
    )
    assert "worse for 1 of 2 releases (a test that is meant for one look says so of 1)" in text
    assert "drifted in 9 of 9 batches" in text
    assert "![Performance with and without the loop](replay.svg)" in text
    assert "| 2013-07 | promoted, as 1.1.0 | 2013-07-03 |" in text
    assert "| 2013-12 | no retraining | – | – | – |" in text
    assert "| 1.0.0 | 2013-01 to 2013-03 | 2013-04-01 to 2013-07-29 | 120 | 2013-07-10 (day 101) |" in text
    assert "| 2013-05 | 27,000 | 100,000 | 12.5 ♻ | 1.5 | 0.20 | 0.50 | 2.00 | 38.0 |" in text
    assert "The replay took 5 min 01 s. Training took 180 s in all" in text
    assert "* the sources end with 2013-12: nothing of 2014-01" in text


def test_all_tables_are_whole():
    for part in render_replay(year(reason="a | b\n| c |")).split("\n\n"):
        rows = part.splitlines()
        if rows[0].startswith("| "):
            columns = rows[0].replace("\\|", "").count("|")
            assert {row.replace("\\|", "").count("|") for row in rows} == {columns}


def test_what_comes_from_a_project_is_text():
    text = render_replay(year(project="<b>x</b>", reason="![x](http://evil.example) @all"))

    assert "<b>" not in text
    assert "![x]" not in text
    assert "@all" not in text


def test_the_report_reads_back_as_it_was_written():
    report = year()

    assert parse_json(ReplayReport, report.to_json(), source="replay.json") == report
