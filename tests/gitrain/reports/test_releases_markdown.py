"""Releases as Markdown."""

from pathlib import Path

from gitrain.release.record import RecordedVerdict, ReleaseRecord
from gitrain.reports.releases_markdown import render_release, render_releases, render_steps
from gitrain.testing.releases import make_release

GOLDEN = Path(__file__).parent / "golden" / "release.md"


def test_everything_that_a_record_says(tmp_path):
    record = make_release(tmp_path / "bundle", "1.4.0", project="flight-delay").record

    assert render_release(record, "s3://bucket/releases", ["sbom.cdx.json"]) == GOLDEN.read_text()


def test_a_list_of_releases(tmp_path):
    record = make_release(tmp_path / "bundle", "1.4.0", commit="c0ffee1" + "0" * 33).record

    text = render_releases([(record, ["here", "s3://bucket"], True), (record, ["here"], False)])

    lines = text.splitlines()
    assert len(lines) == 4
    assert "`c0ffee1` | 2026-01-01 12:00 | 2013-09 |" in lines[2]
    assert "| yes | here, s3://bucket |" in lines[2].replace("\u200b", "").replace("\\", "")
    assert "| no | here |" in lines[3]


def test_what_others_wrote_stays_text(tmp_path):
    record = make_release(tmp_path / "bundle").record
    hostile = "<script>|@all [x](http://evil)\n# heading"
    payload = record.to_payload()
    verdict = RecordedVerdict(name=hostile, outcome="FAILED", reason=hostile, waived=hostile).model_dump(mode="json")
    payload |= {"machine": hostile, "metrics": {hostile: 1}, "verdicts": [verdict]}

    text = render_release(ReleaseRecord.model_validate(payload), hostile, [hostile])
    text += render_releases([(ReleaseRecord.model_validate(payload), [hostile], False)])
    text += render_steps(record, [(hostile, True, hostile)])

    assert "<script>" not in text.replace("\\<", "")
    assert "@all" not in text
    assert "\n# heading" not in text
    assert "](http" not in text.replace("\\]", "")


def test_whether_anything_was_new(tmp_path):
    record = make_release(tmp_path / "bundle", "1.4.0", project="flight-delay").record

    assert render_steps(record, [("store", True, "copied"), ("tag", True, "made")]) == (
        "* store: copied\n* tag: made\n\n`git push origin flight-delay@v1.4.0` shows the tag to others.\n"
    )
    assert render_steps(record, [("store", True, "copied")]) == "* store: copied\n"
    assert render_steps(record, [("tag", False, "there already")]).endswith("Nothing was new.\n")
