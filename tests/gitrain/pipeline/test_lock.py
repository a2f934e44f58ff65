"""Reading dvc.lock."""

import hashlib

import pytest

from gitrain.errors import PipelineError
from gitrain.pipeline.lock import Lock

MODEL = "20f35e630daf44dbfa4c3f68f5399d8c"
TEXT = f"""\
schema: '2.0'
stages:
  features:
    cmd: gitrain features build
    deps:
    - path: requirements.lock
      hash: md5
      md5: c8b7428f629efb9564b8124b6c5abc23
      size: 193
    params:
      params.yaml:
        data.from: 2013-01
    outs:
    - path: data/features
      hash: md5
      md5: 580614454446a0c6c4af2f3dae1f8d2b.dir
      size: 7
      nfiles: 3
  train:
    cmd:
    - gitrain train
    deps:
    - path: data/features
      hash: md5
      md5: 580614454446a0c6c4af2f3dae1f8d2b.dir
    outs:
    - path: models/model.skops
      hash: md5
      md5: {MODEL}
      size: 5
"""


def test_outputs_stages_and_digest() -> None:
    lock = Lock.parse(TEXT)
    assert lock.md5_of("models/model.skops") == MODEL
    assert lock.outs["models/model.skops"].size == 5
    assert not lock.outs["models/model.skops"].is_folder
    assert lock.md5_of("data/features") == "580614454446a0c6c4af2f3dae1f8d2b.dir"
    assert lock.outs["data/features"].is_folder
    assert lock.outs["data/features"].nfiles == 3
    assert list(lock.stages) == ["features", "train"]
    assert lock.stages["features"].params == {"params.yaml": {"data.from": "2013-01"}}
    assert lock.digest == f"sha256:{hashlib.sha256(TEXT.encode()).hexdigest()}"
    assert lock.disagreements() == []


def test_what_is_no_output_is_an_error_that_lists_them() -> None:
    with pytest.raises(
        PipelineError, match=r"no output 'models/gone'; its outputs: data/features, models/model\.skops"
    ):
        Lock.parse(TEXT).md5_of("models/gone")
    with pytest.raises(PipelineError, match="dvc repro"):
        Lock.parse("schema: '2.0'\n").md5_of("models/model.skops")


def test_a_dependency_is_no_output() -> None:
    with pytest.raises(PipelineError, match="no output"):
        Lock.parse(TEXT).md5_of("requirements.lock")


def test_hashes_that_ignore_line_endings_are_not_content_hashes() -> None:
    old = TEXT.replace("      hash: md5\n", "")
    with pytest.raises(PipelineError, match="written by DVC 2"):
        Lock.parse(old).md5_of("models/model.skops")


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        ("conflict", f"<<<<<<< HEAD\n{TEXT}=======\n{TEXT}>>>>>>> topic\n", r"conflict markers \(line 1\)"),
        ("conflict with its base", TEXT.replace("stages:", "||||||| 3f2a91c\nstages:"), r"conflict markers \(line 2\)"),
        ("no YAML", "stages: [", "is not valid YAML"),
        ("empty", "", "holds NoneType"),
        ("a list", "- a\n", "holds list"),
        ("binary", "\x00\x01", "is not valid YAML"),
        ("another schema", TEXT.replace("'2.0'", "'3.0'"), "'schema' is '3.0'"),
        ("no schema", TEXT.replace("schema: '2.0'\n", ""), "'schema' is missing"),
        ("a stage that stands twice", TEXT + "  train:\n    cmd: x\n", "'train' stands twice"),
        ("no MD5", TEXT.replace(MODEL, "20f35e63"), "md5"),
        ("upper case", TEXT.replace(MODEL, MODEL.upper()), "md5"),
        ("a number for an MD5", TEXT.replace(MODEL, "1" * 32), "md5"),
        ("negative size", TEXT.replace("size: 5", "size: -5"), "size"),
        ("no path", TEXT.replace("path: models/model.skops", "where: models/model.skops"), "path' is missing"),
        ("outs is a mapping", TEXT.replace("    outs:\n    - path: models", "    outs:\n      path: models"), "outs"),
        ("two writers", TEXT.replace("path: models/model.skops", "path: data/features"), "output of two stages"),
    ],
)
def test_broken_locks(kind: str, text: str, says: str) -> None:
    with pytest.raises(PipelineError, match=says) as raised:
        Lock.parse(text, "dvc.lock at main")
    assert "dvc.lock at main" in raised.value.what, kind
    assert "take one side" in raised.value.fix
    assert "dvc repro" in raised.value.fix


def test_a_merge_that_mixed_two_locks_is_seen() -> None:
    # The last "580..." is what train read.
    head, _, tail = TEXT.rpartition("580614454446a0c6c4af2f3dae1f8d2b")
    (only,) = Lock.parse(f"{head}{'0' * 32}{tail}").disagreements()
    assert "'train' read data/features" in only


def test_keys_that_say_nothing_about_content_are_passed_over() -> None:
    assert Lock.parse(TEXT.replace("      size: 5", "      size: 5\n      isexec: true")).md5_of("models/model.skops")
