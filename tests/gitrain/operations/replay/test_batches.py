from dataclasses import replace

import pytest

from gitrain.errors import DataError, SettingsError, UsageError
from gitrain.integrations.files import LocalMemo, LocalWorkspace
from gitrain.operations.replay.batches import prepare_year
from gitrain.wiring.repository import open_stage


@pytest.fixture
def stage(lived, tmp_path):
    here = replace(open_stage(str(lived.root), lambda line: None), code="code")
    memo = LocalMemo(folder=lived.root / ".gitrain" / "memo", root=tmp_path)
    return replace(here, workspace=LocalWorkspace(tmp_path), memo=memo)


def test_all_that_the_sources_have(stage):
    year = prepare_year(stage, bootstrap=3, through=None)

    assert year.bootstrap == ("2024-01", "2024-02", "2024-03")
    assert year.lived == ("2024-04", "2024-05", "2024-06")
    assert year.stage.params.data.through == "2024-06"


def test_no_further_than_asked(stage):
    year = prepare_year(stage, bootstrap=2, through="2024-03")

    assert year.lived == ("2024-03",)
    assert year.note == "the replay was asked to end with 2024-03"


@pytest.mark.parametrize(
    ("bootstrap", "through", "said"), [(1, None, "too few"), (3, "2024-03", "there are 3 batches")]
)
def test_too_few_batches(stage, bootstrap, through, said):
    with pytest.raises(UsageError, match=said):
        prepare_year(stage, bootstrap=bootstrap, through=through)


def test_a_batch_that_the_sources_do_not_have(stage):
    with pytest.raises(DataError, match="no month '2024-07'"):
        prepare_year(stage, bootstrap=2, through="2024-07")


def test_a_name_that_is_none(stage):
    with pytest.raises(SettingsError, match="is not a month"):
        prepare_year(stage, bootstrap=2, through="may")


def test_a_project_without_time(stage):
    features = stage.project.features
    timeless = replace(
        stage.project,
        features=replace(
            features,
            entity=replace(features.entity, decision_time=None),
            features=tuple(each for each in features.features if not hasattr(each, "history")),
            histories=(),
            categorical=("depot", "zone"),
        ),
    )
    with pytest.raises(UsageError, match="no decision time"):
        prepare_year(replace(stage, project=timeless), bootstrap=2, through=None)
