import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.data.validation_report import BatchValidation, ValidationReport
from gitrain.errors import SettingsError
from gitrain.pipeline.changes import (
    ValueChange,
    by_area,
    changed_data,
    changed_parameters,
    changed_pins,
    changed_stages,
    changed_values,
    flat_values,
)
from gitrain.pipeline.file_change import FileChange
from gitrain.pipeline.lock import Lock


def lock(train="a", raw="b", **params):
    content = {"max_iter": 200} | params
    listed = "".join(f"\n        {name}: {value}" for name, value in content.items())
    return Lock.parse(
        f"""\
schema: '2.0'
stages:
  ingest:
    cmd: gitrain data ingest
    outs:
    - {{path: data/raw, hash: md5, md5: {raw * 32}.dir}}
  train:
    cmd: gitrain train
    deps:
    - {{path: data/raw, hash: md5, md5: {raw * 32}.dir}}
    - {{path: src/model.py, hash: md5, md5: {train * 32}}}
    params:
      params.yaml:{listed}
    outs:
    - {{path: models/model.skops, hash: md5, md5: {train * 32}}}
"""
    )


def validation(*batches):
    return ValidationReport.of(
        "tumours",
        [
            BatchValidation.of(table, batch, rows=rows, quarantined=quarantined, findings=())
            for table, batch, rows, quarantined in batches
        ],
    )


def named(changes):
    return {change.name: (change.old, change.new) for change in changes}


def test_parameters_are_compared_by_their_dotted_keys():
    before = "training: {seed: 0, window: expanding}\ngates: {waivers: [{gate: a}]}\n"
    after = "training: {seed: 1, early_stopping: true}\ngates: {waivers: []}\n"

    assert named(changed_parameters(before, after)) == {
        "training.seed": ("0", "1"),
        "training.early_stopping": (None, "true"),
        "training.window": ("expanding", None),
        "gates.waivers": ("[…]", "[]"),
    }


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.none(), max_size=5))
def test_every_value_has_a_dotted_name_and_nothing_differs_from_itself(values):
    flat = flat_values({"a": values})

    assert flat == ({f"a.{key}": value for key, value in values.items()} or {"a": {}})
    assert changed_values(flat, flat) == ()


def test_an_older_generation_is_read_as_well():
    assert named(changed_parameters("schema_version: 0\nold: {key: 1}\n", "schema_version: 1\n")) == {
        "schema_version": ("0", "1"),
        "old.key": ("1", None),
    }


@pytest.mark.parametrize("text", ["- 1\n", "a: [", "", "just text", "a: " + "[" * 3000])
def test_what_is_no_mapping_is_an_error_that_names_the_side(text):
    with pytest.raises(SettingsError, match=r"params.yaml of the base"):
        changed_parameters(text, "a: 1\n")


def test_aliases_do_not_multiply():
    levels = ["a0: &a0 {x: 1, y: 2}"]
    levels += [f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}, z: *a{n - 1}}}" for n in range(1, 30)]

    with pytest.raises(SettingsError, match="20,000"):
        changed_parameters("a: 1\n", "\n".join(levels))


def test_long_values_are_cut():
    [change] = changed_parameters("a: 1\n", f"a: {'x' * 1000}\n")
    assert change.new is not None
    assert len(change.new) == 200


def test_pins_are_compared_by_the_package_s_normal_name():
    before = "scikit_learn==1.8.0 \\\n    --hash=sha256:aa\nnumpy==2.0 ; python_version < '3.12'\nnumpy==2.1\nold==1\n"
    after = "Scikit-Learn==1.9.0\nnumpy==2.1 ; python_version > '3'\nnumpy==2.0\n# numpy==3\nnew[extra]==2\n"

    assert changed_pins(before, after) == (
        ValueChange(name="new", old=None, new="2"),
        ValueChange(name="old", old="1", new=None),
        ValueChange(name="scikit-learn", old="1.8.0", new="1.9.0"),
    )


def test_a_stage_ran_again_for_what_comes_from_outside():
    [change] = changed_stages(lock(), lock(train="c", max_iter=100, depth=3))

    assert change.stage == "train"
    assert change.causes == ("max_iter", "depth", "src/model.py")
    assert change.upstream == ()
    assert change.outputs == ("models/model.skops",)


def test_what_another_stage_wrote_is_upstream():
    ingest, train = changed_stages(lock(), lock(raw="d"))

    assert (ingest.stage, ingest.causes, ingest.outputs) == ("ingest", (), ("data/raw",))
    assert (train.causes, train.upstream, train.outputs) == ((), ("data/raw",), ())


def test_equal_locks_have_no_changes_and_a_new_stage_is_new():
    assert changed_stages(lock(), lock()) == ()
    empty = Lock.parse("schema: '2.0'\n")
    assert [change.causes for change in changed_stages(empty, lock())] == [("new stage",), ("new stage",)]


def test_data_is_compared_batch_by_batch():
    before = validation(("flights", "01", 100, 0), ("flights", "02", 90, 1), ("airports", None, 5, 0))
    after = validation(("flights", "01", 100, 0), ("flights", "02", 89, 1), ("flights", "03", 80, 2))

    changes = changed_data(before, after, locks=(lock(), lock(raw="d")))

    assert (changes.rows_before, changes.rows, changes.quarantined_before, changes.quarantined) == (195, 269, 1, 3)
    assert [(each.table, each.batch, each.rows_before, each.rows) for each in changes.batches] == [
        ("flights", "02", 90, 89),
        ("flights", "03", None, 80),
        ("airports", None, 5, None),
    ]
    assert changes.content is True


def test_content_that_changed_behind_equal_counts_shows():
    same = validation(("flights", "01", 100, 0))

    assert changed_data(same, same, locks=(lock(), lock(raw="d"))).content is True
    assert changed_data(same, same, locks=(lock(), lock())).content is False
    assert changed_data(same, same, locks=(None, lock())).content is None
    assert changed_data(None, same, locks=(None, None)).rows_before is None


def test_files_go_to_their_areas_what_runs_with_rights_first():
    files = [
        FileChange(path="src/flight_delay/model.py", added=1, deleted=2),
        FileChange(path="src/flight_delay/features.py", added=9, deleted=2),
        FileChange(path="reports/metrics.json", added=1, deleted=1),
        FileChange(path=".github/workflows/ci.yml", added=1, deleted=0),
        FileChange(path="tests/test_a.py", added=None, deleted=None),
        FileChange(path="environments/production.yaml", added=1, deleted=0),
        FileChange(path="params.yaml", added=1, deleted=0),
        FileChange(path="requirements.lock", added=1, deleted=0),
        FileChange(path="notes.txt", added=1, deleted=0),
        FileChange(path="tools/check.py", added=1, deleted=0),
    ]
    areas = by_area(files)

    assert [area.area for area in areas] == [
        "workflows and rules",
        "environments and releases",
        "pipeline",
        "dependencies",
        "src/flight_delay",
        "tools/",
        "tests",
        "written by the pipeline",
        "other files",
    ]
    package = areas[4]
    assert [file.path for file in package.files] == ["src/flight_delay/features.py", "src/flight_delay/model.py"]
    assert (package.added, package.deleted) == (10, 4)
    assert sum(len(area.files) for area in areas) == len(files)
