from typing import Any

import polars as pl
import pytest
from tests.gitrain.checks import trips
from tests.gitrain.checks.defects import SeededDefect

from gitrain.checks.behaviour import CHECKS, Direction, Invariance
from gitrain.errors import PipelineError, ProjectError
from gitrain.operations.check_behaviour import BehaviourChecks, check_behaviour
from gitrain.verdicts import Outcome


def estimator(name, behaviour):
    return lambda root: trips.trained(root, name, behaviours=(behaviour,))


def trained_backwards(root):
    """The slope has its sign changed between training and here, as a wrong unit would."""
    made = trips.trained(root, behaviours=(trips.STEEPER,))
    model: Any = made.model_format.load(made.workspace.read_bytes("models/model.skops"), name="it")
    model[-1].coef_ = -model[-1].coef_
    made.workspace.write_bytes("models/model.skops", made.model_format.dump(model))
    return made


LEFT: Any = "left"
SLOPE_IS_NOISE = Invariance(name="slope-says-nothing", change={"slope": pl.col("slope") + 1}, tolerance=0.05)
DEFECTS = (
    ("behaviour:NAME", "a score that must go up with a feature goes down: its sign was changed", trained_backwards),
    (
        "behaviour:NAME",
        "a score that must go up stays: the model says the base rate",
        estimator("constant", trips.STEEPER),
    ),
    (
        "behaviour:NAME",
        "a score moves with a feature that must not matter",
        estimator("logistic_regression", SLOPE_IS_NOISE),
    ),
)
SEEDED_DEFECTS = [SeededDefect(check=check, defect=defect) for check, defect, _ in DEFECTS]


@pytest.mark.parametrize(("check", "defect", "seed"), DEFECTS, ids=[text for _, text, _ in DEFECTS])
def test_a_seeded_defect_is_found(check, defect, seed, tmp_path):
    made = seed(tmp_path)

    (verdict,) = check_behaviour(made.stage, made.model_format)

    assert verdict.outcome is Outcome.FAILED, verdict.reason


def test_every_check_has_a_seeded_defect():
    assert {definition.name for definition in CHECKS} == {each.check for each in SEEDED_DEFECTS}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return trips.trained(tmp_path_factory.mktemp("trips"))


def checked(made, *behaviours):
    stage = trips.with_behaviours(made, behaviours).stage
    return check_behaviour(stage, made.model_format)


def test_the_honest_project_passes(model):
    verdicts = check_behaviour(model.stage, model.model_format)

    assert [(verdict.name, verdict.outcome) for verdict in verdicts] == [
        ("behaviour:steeper-is-later", Outcome.PASSED),
        ("behaviour:noise-says-nothing", Outcome.PASSED),
    ]
    assert verdicts[0].figures["share"] == 1.0
    assert verdicts[0].figures["median_move"] > 0.05


def test_one_behaviour_by_its_name(model):
    checks = BehaviourChecks(model.stage, model.model_format)

    assert [each.name for each in checks.verdicts("behaviour:noise-says-nothing")] == ["behaviour:noise-says-nothing"]
    assert checks.verdicts("behaviour:nothing") == []


def test_rows_that_leave_the_contract_are_left_out(model):
    far = Direction(name="far", change={"slope": pl.col("slope") + 9}, direction="up", share=0.9)
    too_far = Direction(name="too-far", change={"slope": pl.lit(99.0)}, direction="up")

    some, none = checked(model, far, too_far)

    assert 0 < some.figures["rows"] < some.figures["of"]
    assert none.outcome is Outcome.INCONCLUSIVE
    assert "keep the contract" in none.reason


def test_start_and_where(model):
    only = Invariance(
        name="one-carrier",
        start={"carrier": pl.lit("C1")},
        change={"carrier": pl.lit("C1")},
        where=pl.col("carrier") == "C2",
    )

    (verdict,) = checked(model, only)

    holdout = model.workspace.read_table("data/features/0005.parquet")
    assert verdict.outcome is Outcome.PASSED
    assert verdict.figures["rows"] == (holdout["carrier"] == "C2").sum()


def test_an_expression_that_cannot_be_evaluated_hides_no_other(model):
    broken = Direction(name="broken", change={"slope": pl.col("carrier").dt.hour()}, direction="up")

    verdicts = checked(model, broken, trips.STEEPER)

    assert [verdict.outcome for verdict in verdicts] == [Outcome.ERROR, Outcome.PASSED]
    assert "behaviour 'broken' cannot be evaluated" in verdicts[0].reason


def test_a_missing_model_is_an_error(model, tmp_path):
    with pytest.raises(PipelineError, match=r"model\.json"):
        check_behaviour(trips.moved(model, tmp_path).stage, model.model_format)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Direction(name="Up!", change={"slope": pl.lit(1.0)}, direction="up"), "the name 'Up!'"),
        (lambda: Direction(name="up", change={}, direction="up"), "changes nothing"),
        (lambda: Direction(name="up", change={"slope": pl.lit(1.0)}, direction=LEFT), "the direction 'left'"),
        (lambda: Direction(name="up", change={"slope": pl.lit(1.0)}, direction="up", share=0), "the share 0"),
        (lambda: Invariance(name="up", change={"slope": pl.lit(1.0)}, tolerance=2), "the tolerance 2"),
        (
            lambda: trips.project(behaviours=(Invariance(name="up", change={"speed": pl.lit(1.0)}),)),
            "behaviour 'up' uses the column 'speed'",
        ),
        (lambda: trips.project(behaviours=(trips.STEEPER, trips.STEEPER)), "behaviours holds 'steeper-is-later' twice"),
    ],
)
def test_what_makes_no_sense_is_refused(make, said):
    with pytest.raises(ProjectError, match=said):
        make()
