import pytest
from tests.gitrain.serving.counters import FEATURES, SCHEMA, Lookup, Model

from gitrain.errors import IntegrationError
from gitrain.serving.manifest import KnownAnswer, KnownAnswers
from gitrain.serving.predictor import Predictor
from gitrain.serving.readiness import Readiness, wrong_answers


def known(*numbers, added=0.0, inputs=None):
    return KnownAnswers(
        schema_version=1,
        tolerance=1e-6,
        rows=tuple(
            KnownAnswer(
                inputs=inputs or {"number": number, "other": None},
                features={"number": number, "gust": None},
                score=number / 100 + added,
            )
            for number in numbers
        ),
    )


@pytest.fixture
def lookup():
    return Lookup()


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def predictor(lookup, model):
    return Predictor(lookup, model, FEATURES, 0.5)


def test_a_model_and_a_store_that_answer_are_ready(predictor, lookup):
    readiness = Readiness(known(1, 2), schema=SCHEMA, predictor=predictor)

    assert readiness.newest() == {}
    assert readiness.check() is None
    assert lookup.calls == [[2]]
    assert readiness.newest() == {"wind": "2026-01-01T12:00:00Z"}


def test_a_wrong_answer_is_named(predictor, model):
    model.added = 2e-6

    reason = Readiness(known(1, 2), schema=SCHEMA, predictor=predictor).check()

    assert "known row" in reason
    assert "has to be 0.01 within 1e-06" in reason


def test_the_tolerance_is_kept(model):
    model.added = 9e-7

    assert wrong_answers(known(1, 2), model) is None


def test_an_answer_that_is_no_number_is_wrong(model):
    model.added = float("nan")

    assert "known row 0" in wrong_answers(known(1, 2), model)


def test_a_feature_that_the_known_rows_lack_is_named(model):
    rows = known(1)
    rows.rows[0].features.pop("gust")

    assert "gust" in wrong_answers(rows, model)


def test_a_known_row_that_is_no_request_is_named(predictor):
    reason = Readiness(known(1, inputs={"number": 200}), schema=SCHEMA, predictor=predictor).check()

    assert "counters[0].number" in reason


def test_a_store_that_holds_nothing_is_not_ready(predictor, lookup):
    readiness = Readiness(known(1), schema=SCHEMA, predictor=predictor)
    lookup.newest = None

    assert "holds none of the histories" in readiness.check()


def test_a_store_that_goes_away_and_comes_back(predictor, lookup):
    readiness = Readiness(known(1), schema=SCHEMA, predictor=predictor)
    assert readiness.check() is None
    lookup.failing = IntegrationError("the store is away", fix="start it.")
    assert "the store is away" in readiness.check()
    assert readiness.newest() == {"wind": "2026-01-01T12:00:00Z"}
    lookup.failing = None
    assert readiness.check() is None
