import dataclasses
import sys
from datetime import timedelta

import pandera.polars as pa
import polars as pl
import pytest

from gitrain.data.batches import Numbered
from gitrain.data.contracts import TableContract
from gitrain.data.tables import Table
from gitrain.errors import ProjectError
from gitrain.features.definitions import AsOfFeatures, Entity, FeatureSet, History, RowFeature, WindowFeatures
from gitrain.metrics import ROC_AUC
from gitrain.project import Project, Slice, Target, load_project


class NoSource:
    def fingerprint(self, batch):
        return "none"

    def read(self, batch):
        return pl.DataFrame()


def contract(*columns):
    return TableContract(schema=pa.DataFrameSchema({column: pa.Column(pl.Int64, nullable=True) for column in columns}))


HISTORY = History(
    name="visits",
    table="visits",
    known_at=pl.col("at"),
    event_time=pl.col("at"),
    max_delay=timedelta(days=1),
)
ENTITY = Entity(
    table="people",
    key=("id",),
    known_in_advance=("id", "height", "seen_at"),
    unit=("day", pl.col("seen_at").dt.date()),
    decision_time=pl.col("seen_at"),
)
FEATURES = FeatureSet(
    entity=ENTITY, features=(RowFeature(name="tall", expression=pl.col("height") > 2),), histories=(HISTORY,)
)
PEOPLE = Table(
    name="people",
    source=NoSource(),
    contract=contract("id", "height", "seen_at", "ill"),
    batch_of=pl.lit("0001"),
)
VISITS = Table(name="visits", source=NoSource(), contract=contract("id", "at"), batch_of=pl.lit("0001"))


def make(**changes):
    parts = {
        "name": "people",
        "tables": (PEOPLE, VISITS),
        "batches": Numbered(),
        "features": FEATURES,
        "feature_contract": contract("tall"),
        "prediction_contract": contract("score"),
        "target": Target(name="ill", label=pl.col("ill")),
        "estimators": {"any": lambda parameters, columns, seed: None},
        "metrics": (ROC_AUC,),
        "slices": (Slice(name="tall", by=pl.col("tall")),),
    }
    return Project(**(parts | changes))


def features(*definitions, **changes):
    return dataclasses.replace(FEATURES, features=definitions, **changes)


def test_parts_that_fit_make_a_project():
    assert make().entity_table is PEOPLE


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": "No Good"}, "the project's name is 'No Good'"),
        ({"tables": ()}, "has no tables"),
        ({"metrics": ()}, "has no metrics"),
        ({"estimators": {}}, "has no estimators"),
        ({"tables": (PEOPLE, PEOPLE)}, "'people' twice"),
        ({"tables": (VISITS,)}, "has no table 'people'"),
        ({"tables": (dataclasses.replace(PEOPLE, batched=False), VISITS)}, "has no batches"),
        ({"tables": (dataclasses.replace(PEOPLE, batch_of=None), VISITS)}, "which row belongs to which"),
        ({"target": Target(name="ill", label=pl.col("il"))}, "'il'"),
        ({"features": dataclasses.replace(FEATURES, entity=dataclasses.replace(ENTITY, key=("idd",)))}, "'idd'"),
        (
            {"features": dataclasses.replace(FEATURES, entity=dataclasses.replace(ENTITY, decision_time=None))},
            "no decision time",
        ),
        # A leak: a row feature that reads an outcome cannot even be declared.
        (
            {"features": features(RowFeature(name="tall", expression=pl.col("ill")))},
            "feature 'tall' uses the column 'ill'",
        ),
        (
            {
                "features": features(
                    AsOfFeatures(history="vists", by={}, columns={"tall": "at"}, max_age=HISTORY.max_delay)
                )
            },
            "history 'vists', which is not declared",
        ),
        (
            {
                "features": features(
                    WindowFeatures(
                        prefix="tall",
                        history="visits",
                        by={"ill": "id"},
                        value=pl.col("at"),
                        aggregation="count",
                        windows={"x": HISTORY.max_delay},
                    )
                )
            },
            "'ill'",
        ),
        ({"features": features(FEATURES.features[0], categorical=("tal",))}, "'tal'"),
        ({"slices": (Slice(name="x", by=pl.col("height")),)}, "slice 'x' uses the column 'height'"),
    ],
)
def test_parts_that_do_not_fit_are_named(changes, expected):
    with pytest.raises(ProjectError) as raised:
        make(**changes)

    assert expected in str(raised.value)


def test_a_project_is_read_by_its_name(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "handed_over.py").write_text("PROJECT = 1\n")

    with pytest.raises(ProjectError, match="is int, not a gitrain"):
        load_project("handed_over:PROJECT")
    with pytest.raises(ProjectError, match=r"define OTHER = Project\(\.\.\.\) in handed_over"):
        load_project("handed_over:OTHER")
    with pytest.raises(ProjectError, match="No module named 'nowhere'"):
        load_project("nowhere:PROJECT")
    sys.modules.pop("handed_over")
