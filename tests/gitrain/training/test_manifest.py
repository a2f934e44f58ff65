import json

import pytest

from gitrain.documents import parse_json
from gitrain.errors import SettingsError
from gitrain.training.estimators import FeatureColumns
from gitrain.training.manifest import ModelManifest

VALUES = {
    "schema_version": 1,
    "project": "parcels",
    "estimator": "hist_gradient_boosting",
    "parameters": {"max_iter": 200, "hidden_layer_sizes": [64], "max_depth": None},
    "features": ["a", "b"],
    "categorical": ["b"],
    "target": "late",
    "training_batches": ["2013-01", "2013-02"],
    "validation_units": ["2013-02-27", "2013-02-28"],
    "seed": 7,
    "early_stopping": True,
    "iterations": 123,
    "converged": None,
    "rows": 10,
    "positives": 3,
    "model_digest": "sha256:" + "0" * 64,
    "libraries": {"python": "3.11", "scikit-learn": "1.9.1", "numpy": "2.4.6", "skops": "0.16.0"},
}


def test_text_reads_back_to_the_same_manifest_and_the_same_text():
    manifest = parse_json(ModelManifest, json.dumps(VALUES), source="models/model.json")
    text = manifest.to_json()
    assert parse_json(ModelManifest, text, source="models/model.json") == manifest
    assert text == json.dumps(VALUES, indent=2, sort_keys=True) + "\n"
    assert manifest.columns == FeatureColumns(names=("a", "b"), categorical=("b",))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"iteration": 3}, "did you mean 'iterations'"),
        ({"schema_version": 2}, "'schema_version'"),
        ({"categorical": ["c"]}, "'c' is not among the features"),
        ({"model_digest": "sha256:0"}, "'model_digest'"),
        ({"iterations": 0}, "'iterations'"),
        ({"training_batches": []}, "'training_batches'"),
    ],
)
def test_what_is_no_manifest_is_refused_by_name(change, named):
    with pytest.raises(SettingsError, match=r"models/model\.json") as error:
        parse_json(ModelManifest, json.dumps({**VALUES, **change}), source="models/model.json")
    assert named in str(error.value)
