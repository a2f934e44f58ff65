import hashlib
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score
from tests.gitrain.evaluation.bookings import BATCHES, features, project, stage, trained, write_features

from gitrain.data.contracts import TableContract
from gitrain.documents import parse_json
from gitrain.errors import DataError, FeatureError, ModelError, PipelineError, ProjectError, SettingsError
from gitrain.evaluation.document import Evaluation
from gitrain.integrations.skops import SkopsFormat
from gitrain.operations.evaluate import evaluate
from gitrain.project import Slice, Target

HOLDOUT = BATCHES[-1]
OUTPUTS = (
    "data/predictions/holdout.parquet",
    "reports/calibration.csv",
    "reports/evaluation.json",
    "reports/metrics.json",
    "reports/precision_recall.csv",
    "reports/roc.csv",
)
MODEL = "models/model.skops"
MANIFEST = "models/model.json"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with features and a model, made once."""
    root = tmp_path_factory.mktemp("trained")
    trained(root)
    return root


@pytest.fixture
def root(model, tmp_path):
    """A folder of the test's own with features and a model."""
    return Path(shutil.copytree(model, tmp_path / "repository"))


def run(root, given=None, **changes):
    return evaluate(stage(root, given, **changes), SkopsFormat())


def digests(root):
    return {path: hashlib.sha256((root / path).read_bytes()).hexdigest() for path in OUTPUTS}


def holdout(**columns):
    return {HOLDOUT: features(HOLDOUT).with_columns(**columns)}


def test_the_labelled_rows_of_the_holdout_are_scored_and_kept(root):
    lines: list[str] = []
    evaluation = run(root, lines=lines)
    rows = features(HOLDOUT).filter(pl.col("cancelled").is_not_null())
    kept = pl.read_parquet(root / OUTPUTS[0])
    assert kept.columns == ["booking", "day", "batch", "label", "score", "slice_channel", "slice_dear"]
    assert kept["booking"].equals(rows["booking"])
    assert kept["label"].equals(rows["cancelled"], check_names=False)
    assert set(kept["batch"]) == {HOLDOUT}
    assert kept["slice_channel"].equals(rows["channel"], check_names=False)
    assert (evaluation.rows, evaluation.unlabelled) == (rows.height, 600 - rows.height)
    assert (evaluation.units, evaluation.positives) == (28, int(rows["cancelled"].sum()))
    assert evaluation.metrics["roc_auc"].value == pytest.approx(roc_auc_score(kept["label"], kept["score"]), rel=1e-5)
    assert 0.7 < evaluation.metrics["roc_auc"].value < 0.9
    assert len(lines) == 2


def test_files_say_what_is_returned(root):
    evaluation = run(root)
    text = (root / "reports/evaluation.json").read_text(encoding="utf-8")
    assert parse_json(Evaluation, text, source="evaluation.json") == evaluation
    assert evaluation.model_digest == "sha256:" + hashlib.sha256((root / MODEL).read_bytes()).hexdigest()
    assert evaluation.predictions_digest == "sha256:" + digests(root)[OUTPUTS[0]]
    flat = json.loads((root / "reports/metrics.json").read_text(encoding="utf-8"))
    assert list(flat) == [
        *("rows", "units", "base_rate"),
        *(f"{name}{end}" for name in ("roc_auc", "log_loss_ratio", "brier") for end in ("", "_low", "_high")),
    ]
    assert all(isinstance(value, int | float) for value in flat.values())
    assert flat["roc_auc_low"] == evaluation.metrics["roc_auc"].low < flat["roc_auc"] < flat["roc_auc_high"]


def test_a_rerun_is_the_same_to_the_byte(root):
    run(root)
    first = digests(root)
    for path in OUTPUTS:
        (root / path).unlink()
    run(root)
    assert digests(root) == first
    run(root, evaluation={"seed": 1})
    changed = {path for path, digest in digests(root).items() if digest != first[path]}
    assert changed == {"reports/calibration.csv", "reports/evaluation.json", "reports/metrics.json"}


def test_slices_are_measured_and_small_groups_are_not_judged(root):
    slices = run(root).slices
    kept = pl.read_parquet(root / OUTPUTS[0])
    channel = {group.group: group for group in slices["channel"].groups}
    assert list(channel) == ["desk", "phone", "web", None]
    assert {name: group.judged for name, group in channel.items()} == {
        "desk": True,
        "phone": False,
        "web": True,
        None: kept["slice_channel"].null_count() >= 100,
    }
    web = kept.filter(pl.col("slice_channel") == "web")
    assert channel["web"].metrics["roc_auc"].value == pytest.approx(roc_auc_score(web["label"], web["score"]), rel=1e-5)
    assert list(channel["web"].metrics) == ["roc_auc", "log_loss_ratio"]
    assert [group.group for group in slices["dear"].groups] == ["false", "true"]
    assert sum(group.rows for group in slices["dear"].groups) == kept.height


def test_the_holdout_may_be_several_batches(root):
    trained_on_two = {"holdout_batches": 2}
    manifest = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    manifest["training_batches"] = list(BATCHES[:2])
    (root / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    evaluation = run(root, evaluation=trained_on_two)
    assert evaluation.batches == BATCHES[-2:]
    assert evaluation.units == 56
    kept = pl.read_parquet(root / OUTPUTS[0])
    assert set(kept["batch"]) == set(BATCHES[-2:])
    assert kept["batch"].equals(kept["day"].dt.strftime("%Y-%m"), check_names=False)


def test_one_class_has_what_can_be_measured_and_a_reason_for_the_rest(root):
    write_features(root, holdout(cancelled=pl.lit(False)))
    evaluation = run(root)
    assert evaluation.base_rate == 0
    assert evaluation.metrics["roc_auc"].value is None
    assert evaluation.metrics["roc_auc"].reason == "undefined: no label is true"
    assert evaluation.metrics["brier"].value is not None
    assert "roc_auc" not in json.loads((root / "reports/metrics.json").read_text(encoding="utf-8"))
    assert len((root / "reports/roc.csv").read_text(encoding="utf-8").splitlines()) == 1


def test_one_day_has_values_and_no_intervals(root):
    write_features(root, holdout(day=pl.lit("2024-04-01").str.to_date()))
    evaluation = run(root)
    assert evaluation.units == 1
    for estimate in evaluation.metrics.values():
        assert estimate.value is not None
        assert (estimate.low, estimate.reason) == (None, "one unit only: nothing to resample")
    flat = json.loads((root / "reports/metrics.json").read_text(encoding="utf-8"))
    assert "roc_auc" in flat
    assert "roc_auc_low" not in flat


def test_a_holdout_without_labels_cannot_be_judged(root):
    write_features(root, holdout(cancelled=pl.lit(None, dtype=pl.Boolean)))
    with pytest.raises(DataError, match=r"no row of the holdout \(2024-04\) has a label \(600 rows have none\)"):
        run(root)


def altered_model(root):
    content = (root / MODEL).read_bytes()
    (root / MODEL).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def edited_manifest(**changes):
    def edit(root):
        manifest = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
        (root / MANIFEST).write_text(json.dumps(manifest | changes), encoding="utf-8")

    return edit


def edited_features(edit):
    return lambda root: write_features(root, {HOLDOUT: edit(features(HOLDOUT))})


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda root: (root / MODEL).unlink(), PipelineError, f"{MODEL} is missing"),
        (lambda root: (root / MANIFEST).unlink(), PipelineError, f"{MANIFEST} is missing"),
        (altered_model, ModelError, "models/model.json describes a model with sha256:"),
        (edited_manifest(project="hotels"), ModelError, "was made for the project 'hotels', and this is 'bookings'"),
        (edited_manifest(target="kept"), ModelError, "was made for the target 'kept'"),
        (edited_manifest(training_batches=list(BATCHES)), ModelError, "has been trained on 2024-04"),
        (edited_manifest(iteration=3), SettingsError, "unknown key 'iteration'"),
        (edited_features(lambda frame: frame.drop("price")), FeatureError, "'price'"),
        (edited_features(lambda frame: frame.drop("booking")), DataError, "has no column 'booking'"),
        (edited_features(lambda frame: frame.drop("cancelled")), DataError, "has no column 'cancelled'"),
        (
            edited_features(lambda frame: frame.with_columns(pl.col("cancelled").cast(pl.Int8))),
            DataError,
            "not Boolean",
        ),
        (edited_features(lambda frame: frame.with_columns(price=math.inf)), ModelError, "cannot score"),
        (
            edited_features(lambda frame: frame.with_columns(day=pl.when(pl.col("booking") > 30_001).then("day"))),
            DataError,
            "2 rows of the holdout have no 'day'",
        ),
        (
            edited_features(lambda frame: frame.with_columns(booking=pl.lit(1, dtype=pl.Int64))),
            DataError,
            "the predictions for 2024-04 break their contract",
        ),
        (
            lambda root: (root / f"data/features/{HOLDOUT}.parquet").write_bytes(b"PAR1"),
            DataError,
            "no readable parquet file",
        ),
        (lambda root: (root / f"data/features/{HOLDOUT}.parquet").unlink(), DataError, "is missing"),
    ],
)
def test_what_cannot_be_judged_is_one_clear_error_and_nothing_new_is_claimed(root, spoil, error, message):
    run(root)
    before = digests(root)
    spoil(root)
    with pytest.raises(error, match=message) as caught:
        run(root)
    assert caught.value.fix
    assert digests(root) == before


def test_scores_outside_the_contract_are_refused(root):
    strict = TableContract(schema=pa.DataFrameSchema({"score": pa.Column(pl.Float64, pa.Check.le(0.5))}))
    with pytest.raises(DataError, match=r"the predictions for 2024-04 break their contract: .*score"):
        run(root, project(prediction_contract=strict))
    missing = TableContract(schema=pa.DataFrameSchema({"probability": pa.Column(pl.Float64)}))
    with pytest.raises(DataError, match="probability"):
        run(root, project(prediction_contract=missing))


def test_a_slice_that_cannot_be_evaluated_is_named(root):
    given = project(slices=(Slice(name="odd", by=pl.col("price").str.len_chars()),))
    with pytest.raises(ProjectError, match="slice 'odd'"):
        run(root, given)


def test_a_project_without_slices_has_none(root):
    assert run(root, project(slices=())).slices == {}


def test_a_renamed_target_asks_for_training(root):
    with pytest.raises(ModelError, match="was made for the target 'cancelled', and this is 'gone'"):
        run(root, replace(project(), target=Target(name="gone", label=pl.col("cancelled"))))


def test_intervals_are_of_days_and_not_of_rows(root):
    # One number a day decides all its labels: rows of a day say the same thing 21 times.
    random = np.random.default_rng(0)
    by_day = pl.DataFrame({"day": features(HOLDOUT)["day"].unique().sort()}).with_columns(
        bad=pl.Series(random.random(28) < 0.5)
    )
    day_decides = features(HOLDOUT).join(by_day, on="day", maintain_order="left")
    write_features(root, {HOLDOUT: day_decides.with_columns(cancelled="bad").drop("bad")})
    by_days = run(root).metrics["brier"]
    alone = project(
        features=replace(
            project().features, entity=replace(project().features.entity, unit=("booking", pl.col("booking")))
        )
    )
    by_rows = run(root, alone).metrics["brier"]
    assert by_days.value == by_rows.value
    assert by_days.high - by_days.low > 2 * (by_rows.high - by_rows.low)
