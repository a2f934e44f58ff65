"""The release record and the bundle's manifest: strict formats, one text each."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.errors import ReleaseError
from gitrain.lineage import digest_of_bytes
from gitrain.release.bundle import BundleFile, BundleManifest
from gitrain.release.contents import contradictions
from gitrain.release.identity import ReleaseIdentity
from gitrain.release.record import RecordedServing, RecordedVerdict, ReleaseRecord
from gitrain.release.signature import Signature
from gitrain.testing.releases import make_release
from gitrain.verdicts import Outcome, Verdict

GOLDEN = Path(__file__).parent / "golden"


def test_the_text_of_a_record_is_a_format(tmp_path):
    record = make_release(tmp_path / "bundle", "1.4.0", project="flight-delay").record

    assert record.to_json() == (GOLDEN / "record.json").read_text()
    assert record.digest == digest_of_bytes((GOLDEN / "record.json").read_bytes())
    assert ReleaseRecord.from_json(record.to_json(), source="x") == record


def test_the_text_of_a_manifest_is_a_format(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "über.py").write_text("x = 1\n")
    (tmp_path / "run").write_text("#!/bin/sh\n")
    (tmp_path / "run").chmod(0o755)

    manifest = BundleManifest.of(tmp_path)

    assert manifest.to_json() == (GOLDEN / "manifest.json").read_text()
    assert BundleManifest.from_json(manifest.to_json(), source="x") == manifest


@pytest.mark.repository
@pytest.mark.parametrize(
    "kind", [ReleaseRecord, ReleaseIdentity, RecordedServing, RecordedVerdict, BundleManifest, BundleFile, Signature]
)
def test_every_key_of_a_file_is_documented(kind):
    text = (Path(__file__).parents[3] / "docs" / "releases.md").read_text(encoding="utf-8")

    assert [name for name in kind.model_fields if f"`{name}`" not in text and f'"{name}"' not in text] == []


def test_records_of_equal_bundles_are_equal_whenever_they_are_made(tmp_path):
    one = make_release(tmp_path / "one").record
    other = make_release(tmp_path / "other").record

    assert one.digest == other.digest


def test_times_are_those_of_utc(tmp_path):
    record = make_release(tmp_path / "bundle").record
    local = record.committed_at.astimezone(timezone(timedelta(hours=-7)))

    again = ReleaseRecord.model_validate(record.to_payload() | {"committed_at": local})

    assert again.to_json() == record.to_json()
    assert again.committed_at == datetime(2026, 1, 1, 12, tzinfo=UTC)


@given(data=st.data())
def test_one_changed_character_is_noticed(data):
    text = (GOLDEN / "record.json").read_text()
    record = ReleaseRecord.from_json(text, source="x")
    at = data.draw(st.integers(0, len(text) - 1))
    new = data.draw(st.characters(codec="utf-8").filter(lambda letter: letter != text[at]))

    changed = text[:at] + new + text[at + 1 :]

    try:
        found = ReleaseRecord.from_json(changed, source="x")
    except ReleaseError:
        return
    # It may be a record all the same: then it is another one.
    assert found.digest != record.digest


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda payload: payload | {"more": 1}, "unknown key 'more'"),
        (lambda payload: {key: payload[key] for key in payload if key != "files"}, "'files' is missing"),
        (lambda payload: payload | {"schema_version": 2}, "schema_version"),
        (lambda payload: payload | {"bundle_digest": "sha256:00"}, "bundle_digest"),
        (lambda payload: payload | {"identity": payload["identity"] | {"version": "v1.4.0"}}, "version"),
        (lambda payload: payload | {"files": "7"}, "was changed"),
        (lambda payload: payload | {"committed_at": "2026-01-01T13:00:00+01:00"}, "was changed"),
        (lambda payload: [payload], "holds list"),
    ],
)
def test_what_is_no_record_says_why(change, says, tmp_path):
    payload = make_release(tmp_path / "bundle").record.to_payload()
    text = json.dumps(change(payload), indent=2, sort_keys=True) + "\n"

    with pytest.raises(ReleaseError, match=says) as raised:
        ReleaseRecord.from_json(text, source="records/1.4.0.json")

    assert "records/1.4.0.json" in raised.value.what


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a": NaN}'])
def test_what_is_no_json_is_an_error_of_ours(text):
    for kind in (ReleaseRecord, BundleManifest):
        with pytest.raises(ReleaseError):
            kind.from_json(text, source="x")


def test_numbers_are_numbers(tmp_path):
    record = make_release(tmp_path / "bundle").record

    with pytest.raises(ValueError, match="no finite number"):
        ReleaseRecord.model_validate(record.to_payload() | {"metrics": {"roc_auc": float("nan")}})
    assert '"rows": 28000' in record.to_json()


def test_a_verdict_comes_back():
    verdict = Verdict(
        name="champion:log_loss",
        outcome=Outcome.INCONCLUSIVE,
        reason="the interval holds 0",
        figures={"low": -0.1, "rows": 3, "power": None, "better": True, "largest": float("inf")},
        waived="a new carrier",
    )

    recorded = RecordedVerdict.of(verdict)

    assert recorded.verdict().figures == {**verdict.figures, "largest": "inf"}
    assert [type(value) for value in recorded.figures.values()] == [float, int, type(None), bool, str]
    assert (recorded.verdict().outcome, recorded.verdict().waived) == (Outcome.INCONCLUSIVE, "a new carrier")


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../b", "a/./b", "a//b", "a/", "..", "a\\b", "a\nb", "a\0b", "\u202eb"]
)
def test_paths_of_a_bundle_stay_inside(path):
    with pytest.raises(ValueError, match="no path inside"):
        BundleFile(path=path, size=0, digest=digest_of_bytes(b""))


def test_a_manifest_names_each_file_once():
    file = BundleFile(path="a", size=0, digest=digest_of_bytes(b""))
    for files in ((file, file), (BundleFile(path="b", size=0, digest=digest_of_bytes(b"")), file)):
        with pytest.raises(ValueError, match="sorted"):
            BundleManifest(schema_version=1, files=files)


@pytest.mark.parametrize(
    ("path", "content", "says"),
    [
        ("src/release.json", b"{}", "src/release.json: it is not the identity"),
        ("src/models/serving/model.onnx", b"other", r"src/models/serving/model.onnx: expected sha256"),
        ("src/models/serving.json", b"{}", r"src/None: expected sha256"),
        ("src/models/serving.json", b'{"path": "models/serving/model.onnx"}', "format: expected onnx, found nothing"),
        ("src/models/serving.json", b"[" * 100_000, "digest: expected sha256"),
        ("src/models/model.json", b'{"model_digest": "sha256:1"}', "src/models/model.json: model_digest: expected"),
        ("src/requirements.txt", b"numpy==1.0\n", "requirements.txt: the bundle has none with the digest"),
    ],
)
def test_a_bundle_that_says_something_else_than_its_record(path, content, says, tmp_path):
    made = make_release(tmp_path / "bundle")
    (made.bundle / path).write_bytes(content)
    manifest = BundleManifest.of(made.bundle)
    # Whoever changes a file changes the manifest and the record with it.
    changed = made.record.model_copy(
        update={"bundle_digest": manifest.digest, "bundle_size": manifest.size, "files": len(manifest.files)}
    )

    found = contradictions(changed, manifest, lambda name: (made.bundle / name).read_bytes())

    assert any(says in sentence for sentence in found), found


def test_a_bundle_that_says_what_its_record_says(tmp_path):
    made = make_release(tmp_path / "bundle")

    assert not contradictions(
        made.record, BundleManifest.of(made.bundle), lambda name: (made.bundle / name).read_bytes()
    )
