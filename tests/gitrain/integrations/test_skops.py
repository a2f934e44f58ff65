import hashlib
import io
import json
import subprocess
import sys
import zipfile
from typing import Any

import numpy as np
import polars as pl
import pytest
import skops.io
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer
from tests.gitrain.training.generated import COLUMNS, FACTORIES, frame, make, split

from gitrain.errors import ModelError
from gitrain.integrations.skops import TRUSTED, SkopsFormat
from gitrain.training.iterations import learner_of
from gitrain.training.matrix import feature_matrix

FORMAT = SkopsFormat()
NAME = "models/model.skops"
SIZES = {"hist_gradient_boosting": {"max_iter": 3}, "logistic_regression": {}, "mlp": {"max_iter": 2}}


def fitted(name: str, *, seed: int = 0, rows: int = 400) -> Any:
    part = split(frame(rows, seed=seed))
    learner = learner_of(make(name, SIZES[name], seed=seed), seed=seed)
    limit = learner.max_iterations
    list(learner.fit_iterations(part.matrix, part.labels, iterations=limit, watched=()))
    return learner.estimator


@pytest.fixture(scope="module")
def trees() -> Any:
    return fitted("hist_gradient_boosting")


@pytest.fixture(scope="module")
def stored(trees) -> bytes:
    return FORMAT.dump(trees)


def numbers(rows: int = 300):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(rows, 5))
    return matrix, (matrix[:, 0] + 0.5 * rng.normal(size=rows) > 0).astype(int)


@hypothesis_settings(max_examples=10)
@given(name=st.sampled_from(sorted(FACTORIES)), seed=st.integers(0, 1000))
def test_a_model_comes_back_as_it_was(name, seed):
    model = fitted(name, seed=seed, rows=200)
    content = FORMAT.dump(model)
    again = FORMAT.load(content, name=NAME)
    others = feature_matrix(frame(300, seed=seed + 1), COLUMNS)
    assert np.array_equal(model.predict_proba(others), again.predict_proba(others))
    assert FORMAT.dump(again) == content


@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_equal_models_give_equal_bytes_and_others_do_not(name):
    content = FORMAT.dump(fitted(name))
    assert FORMAT.dump(fitted(name)) == content
    assert FORMAT.dump(fitted(name, seed=1)) != content


def test_skops_itself_would_not_give_equal_bytes(trees):
    # If it ever does, the rewriting can go.
    first, second = skops.io.dumps(trees), skops.io.dumps(fitted("hist_gradient_boosting"))
    assert first != second


@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_plain_skops_reads_it(name):
    model = fitted(name)
    matrix = feature_matrix(frame(100), COLUMNS)
    plain = skops.io.loads(FORMAT.dump(model), trusted=list(TRUSTED))
    assert np.array_equal(plain.predict_proba(matrix), model.predict_proba(matrix))


@pytest.mark.parametrize(
    "classifier",
    [
        RandomForestClassifier(n_estimators=4, random_state=0),
        GradientBoostingClassifier(n_estimators=4, random_state=0),
        BaggingClassifier(n_estimators=3, max_features=3, random_state=0),
        CalibratedClassifierCV(HistGradientBoostingClassifier(max_iter=3, random_state=0), cv=2),
        StackingClassifier(
            [("forest", RandomForestClassifier(n_estimators=2, random_state=0)), ("line", LogisticRegression())],
            final_estimator=RandomForestClassifier(n_estimators=2, random_state=0),
            passthrough=True,
            cv=2,
        ),
    ],
    ids=lambda classifier: type(classifier).__name__,
)
def test_other_estimators_of_scikit_learn_are_stored_alike(classifier):
    matrix, labels = numbers()
    model = classifier.fit(matrix, labels)
    content = FORMAT.dump(model)
    again: Any = FORMAT.load(content, name=NAME)
    assert np.array_equal(again.predict_proba(matrix), model.predict_proba(matrix))
    assert FORMAT.dump(again) == content


FOREST = """
import hashlib
import numpy as np
from sklearn.ensemble import GradientBoostingClassifier
from gitrain.integrations.skops import SkopsFormat
matrix = np.random.default_rng(0).normal(size=(300, 5))
model = GradientBoostingClassifier(n_estimators=5, random_state=0).fit(matrix, matrix[:, 0] > 0)
print(hashlib.sha256(SkopsFormat().dump(model)).hexdigest())
"""


def test_what_lay_in_memory_is_not_in_the_bytes():
    # scikit-learn's trees are records with gaps, which nobody sets.
    found = subprocess.run([sys.executable, "-c", FOREST], check=True, capture_output=True, text=True).stdout
    matrix = np.random.default_rng(0).normal(size=(300, 5))
    model = GradientBoostingClassifier(n_estimators=5, random_state=0).fit(matrix, matrix[:, 0] > 0)
    assert found.strip() == hashlib.sha256(FORMAT.dump(model)).hexdigest()


def test_shared_objects_stay_shared():
    matrix, labels = numbers()
    model: Any = RandomForestClassifier(n_estimators=2, random_state=0).fit(matrix, labels)
    model.first_ = model.also_first_ = ["one", np.arange(3)]
    model.likewise_ = ["one", np.arange(3)]
    again: Any = FORMAT.load(FORMAT.dump(model), name=NAME)
    assert again.first_ is again.also_first_
    assert again.first_ is not again.likewise_
    assert again.likewise_[0] == "one"


@pytest.mark.parametrize("words", [("a", "b", "c", "d"), ("d", "c", "a", "b")])
def test_sets_have_one_order(words):
    matrix, labels = numbers()
    model: Any = LogisticRegression().fit(matrix, labels)
    expected: Any = LogisticRegression().fit(matrix, labels)
    model.words_, expected.words_ = set(), set("abcd")
    for word in words:
        model.words_.add(word)
    assert FORMAT.dump(model) == FORMAT.dump(expected)


# What follows is damaged, hostile or foreign; each is refused by name, before anything is built from it.


def members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression=compression) as out:
        for name, content in parts.items():
            out.writestr(name, content)
    return buffer.getvalue()


def with_schema(content: bytes, old: str, new: str) -> bytes:
    parts = members(content)
    text = parts["schema.json"].decode()
    assert old in text
    return archive({**parts, "schema.json": text.replace(old, new).encode()})


def refused(content: bytes, named: str, model_format: SkopsFormat = FORMAT) -> None:
    with pytest.raises(ModelError, match=r"models/model\.skops") as error:
        model_format.load(content, name=NAME)
    assert named in str(error.value)
    assert error.value.fix


@pytest.mark.parametrize("content", [b"", b"not a zip at all", b"PK\x03\x04" + b"\0" * 100])
def test_no_zip(content):
    refused(content, "no readable skops model")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated(stored, share):
    refused(stored[: int(len(stored) * share)], "no readable skops model")


@given(data=st.data())
def test_a_changed_byte_is_refused_or_changes_nothing(stored, trees, data):
    at = data.draw(st.integers(0, len(stored) - 1))
    changed = stored[:at] + bytes([stored[at] ^ data.draw(st.integers(1, 255))]) + stored[at + 1 :]
    matrix = feature_matrix(frame(20), COLUMNS)
    try:
        model = FORMAT.load(changed, name=NAME)
    except ModelError:
        return
    assert np.array_equal(model.predict_proba(matrix), trees.predict_proba(matrix))


def test_a_zip_bomb_is_not_unpacked(stored):
    bomb = archive({**members(stored), "99.npy": b"\0" * 2_000_000}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 1_000_000
    refused(bomb, "unpacks to more than is read: 99.npy has 2,000,000 bytes", SkopsFormat(max_bytes=1_500_000))
    schema = archive({"schema.json": b" " * (129 * 2**20)}, zipfile.ZIP_DEFLATED)
    refused(schema, "unpacks to more than is read: schema.json")


def test_a_member_that_claims_to_be_small(stored):
    bomb = bytearray(archive({"schema.json": b"[" * 1000}))
    for at in (bomb.find(b"PK\x01\x02") + 24, bomb.find(b"PK\x03\x04") + 22):
        bomb[at : at + 4] = (10).to_bytes(4, "little")
    refused(bytes(bomb), "no readable skops model")


def test_a_type_that_is_not_trusted():
    matrix, labels = numbers()
    model: Any = LogisticRegression().fit(matrix, labels)
    model.helper_ = FunctionTransformer(json.loads)
    with pytest.raises(ModelError, match=r"types that are not trusted: json\.loads"):
        FORMAT.dump(model)
    refused(skops.io.dumps(model), "json.loads")
    trusting = SkopsFormat(trusted=("json.loads",))
    again: Any = trusting.load(trusting.dump(model), name=NAME)
    assert again.helper_.func is json.loads


@pytest.mark.parametrize(
    ("module", "name", "loader"),
    [
        ("os", "system", "FunctionNode"),
        ("subprocess", "Popen", "ObjectNode"),
        ("subprocess", "Popen", "ConstructorFromReduceNode"),
        ("builtins", "eval", "TypeNode"),
        ("operator", "methodcaller", "OperatorFuncNode"),
    ],
)
def test_code_in_a_crafted_schema_is_never_reached(stored, module, name, loader):
    nothing = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": []}
    node = {"__class__": name, "__module__": module, "__loader__": loader, "content": nothing, "attrs": nothing}
    crafted = with_schema(stored, '"memory":{', f'"hidden":{json.dumps(node)},"memory":{{')
    refused(crafted, f"types that are not trusted: {module}.{name}")


@pytest.mark.parametrize(
    "kind", [np.array([{"a": 1}], dtype=object), np.array([(1, "x")], dtype=[("a", "O"), ("b", "O")])]
)
def test_an_array_of_pickles_is_refused(stored, kind):
    buffer = io.BytesIO()
    np.save(buffer, kind, allow_pickle=True)
    refused(archive({**members(stored), "1.npy": buffer.getvalue()}), "1.npy is no plain array, or holds pickled")
    inner = archive({"data.npy": buffer.getvalue()})
    refused(archive({**members(stored), "99.npz": inner}), "99.npz/data.npy is no plain array, or holds pickled")


@pytest.mark.parametrize("extra", ["model.pkl", "../1.npy", "code.py", "folder/1.npy"])
def test_a_member_that_is_no_part_of_a_model(stored, extra):
    refused(archive({**members(stored), extra: b"x"}), repr(extra))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name(stored):
    buffer = io.BytesIO(stored)
    with zipfile.ZipFile(buffer, "a") as out:
        out.writestr("1.npy", b"another")
    refused(buffer.getvalue(), "'1.npy' stands twice")


def test_a_missing_member(stored):
    parts = members(stored)
    refused(archive({name: part for name, part in parts.items() if name != "2.npy"}), "no readable skops model")
    refused(archive({name: part for name, part in parts.items() if name != "schema.json"}), "schema.json is missing")


@pytest.mark.parametrize("schema", [b"", b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000])
def test_a_schema_that_is_none(schema):
    refused(archive({"schema.json": schema}), "no readable skops model")


def test_another_minor_version_of_scikit_learn(stored):
    import sklearn

    here = sklearn.__version__
    older = with_schema(stored, f'\\"{here}\\"', '\\"1.2.3\\"')
    refused(older, f"made with scikit-learn 1.2.3, and {here} is installed")
    # Another patch of the same minor version is fine, and does not warn.
    patch = with_schema(stored, f'\\"{here}\\"', f'\\"{".".join(here.split(".")[:2])}.77\\"')
    assert FORMAT.load(patch, name=NAME) is not None


def test_what_is_no_classifier():
    refused(skops.io.dumps({"a": 1}), "holds dict, which is no classifier")
    with pytest.raises(ModelError, match="StandardScaler, which is no classifier"):
        from sklearn.preprocessing import StandardScaler

        FORMAT.dump(StandardScaler())


def test_what_cannot_be_stored():
    matrix, labels = numbers()
    model: Any = LogisticRegression().fit(matrix, labels)
    model.stream_ = io.StringIO()
    with pytest.raises(ModelError):
        FORMAT.dump(model)


def with_nodes(content: bytes, field: str, value: int, at: int = 0) -> bytes:
    """The archive with one field of the first tree's nodes changed."""
    parts = members(content)
    for name, part in parts.items():
        if name.endswith(".npy"):
            nodes = np.load(io.BytesIO(part))
            if nodes.dtype.names is not None and field in nodes.dtype.names:
                nodes[field][at] = value
                buffer = io.BytesIO()
                np.save(buffer, nodes)
                return archive({**parts, name: buffer.getvalue()})
    raise AssertionError(field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("left", 4_000_000),
        ("right", 0),
        ("left", 0),
        ("feature_idx", 10_000),
        ("feature_idx", -7),
        ("is_categorical", 1),
    ],
)
def test_a_tree_of_histogram_boosting_that_points_outside_itself(stored, field, value):
    refused(with_nodes(stored, field, value), "a tree points outside itself")


@pytest.mark.parametrize(
    ("field", "value"), [("left_child", 4_000_000), ("left_child", 0), ("right_child", -5), ("feature", 99)]
)
@pytest.mark.parametrize("kind", [RandomForestClassifier, GradientBoostingClassifier])
def test_a_tree_of_a_forest_that_points_outside_itself(kind, field, value):
    matrix, labels = numbers()
    content = FORMAT.dump(kind(n_estimators=2, random_state=0).fit(matrix, labels))
    refused(with_nodes(content, field, value), "a tree points outside itself")


def test_a_forest_whose_trees_take_more_columns_than_it_is_given():
    matrix, labels = numbers()
    content = FORMAT.dump(RandomForestClassifier(n_estimators=2, random_state=0).fit(matrix, labels))
    model: Any = FORMAT.load(content, name=NAME)
    model.n_features_in_ = 2
    with pytest.raises(ModelError, match="points outside itself"):
        FORMAT.dump(model)


def test_the_frame_that_pipelines_take_is_polars(trees):
    assert isinstance(feature_matrix(frame(3), COLUMNS), pl.DataFrame)
    assert trees.predict_proba(feature_matrix(frame(3), COLUMNS)).shape == (3, 2)
