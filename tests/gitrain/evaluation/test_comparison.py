import math

import pytest
from tests.gitrain.reports.pull_request_cases import (
    DIFFERENCES,
    GROUPS_BEFORE,
    GROUPS_NOW,
    METRICS_BEFORE,
    METRICS_NOW,
    PASSED,
    evaluation,
)

from gitrain.errors import PipelineError
from gitrain.evaluation.comparison import PairedDifference, compare_evaluations, compare_models, paired_differences
from gitrain.training.manifest import ModelManifest

MANIFEST = {
    "schema_version": 1,
    "project": "tumours",
    "estimator": "logistic_regression",
    "parameters": {"C": 1.0, "solver": {"name": "lbfgs"}},
    "features": ("area", "radius"),
    "categorical": (),
    "target": "malignant",
    "training_batches": ("0001",),
    "validation_units": ("1",),
    "seed": 0,
    "early_stopping": False,
    "iterations": 10,
    "converged": True,
    "rows": 100,
    "positives": 40,
    "model_digest": "sha256:" + "ab" * 32,
    "libraries": {"python": "3.12", "scikit-learn": "1.9.0"},
}


def compared(before=None, after=None, **changes):
    return compare_evaluations(
        evaluation(METRICS_BEFORE, before or GROUPS_BEFORE, **changes), evaluation(METRICS_NOW, after or GROUPS_NOW), {}
    )


def moves(before, after):
    found = compared({"s": {"g": before}}, {"s": {"g": after}})
    return [(move.better, move.margin) for move in found.moved]


def test_a_group_moves_when_it_leaves_both_intervals():
    # The root of .03 squared and .04 squared is .05.
    assert moves((0.70, 0.03, 900), (0.7499, 0.04, 900)) == []
    assert moves((0.70, 0.03, 900), (0.7501, 0.04, 900)) == [(True, 0.05)]
    assert moves((0.7501, 0.03, 900), (0.70, 0.04, 900)) == [(False, 0.05)]


def test_for_a_metric_of_which_less_is_better_more_is_worse():
    before, after = (evaluation(METRICS_NOW, {"s": {"g": (value, 0.01, 900)}}) for value in (0.7, 0.8))
    lower = METRICS_NOW["roc_auc"].model_copy(update={"direction": "lower"})
    after = after.model_copy(update={"metrics": {"roc_auc": lower}})

    assert [move.better for move in compare_evaluations(before, after, {}).moved] == [False]


def test_what_got_worse_comes_first_by_how_far_it_moved():
    before = {"s": {name: (0.7, 0.01, 900) for name in "abcd"}}
    after = {"s": {"a": (0.9, 0.01, 900), "b": (0.6, 0.01, 900), "c": (0.5, 0.01, 900), "d": (0.701, 0.01, 900)}}

    found = compared(before, after)
    assert [move.group for move in found.moved] == ["c", "b", "a"]
    assert found.compared == 4


def test_groups_that_came_and_went_are_named_if_they_are_judged():
    found = compared()

    # YV has too few rows to be judged.
    assert found.appeared == ("carrier: (none)",)
    assert found.vanished == ("carrier: HA",)


def test_nothing_moves_against_itself():
    one = evaluation(METRICS_NOW, GROUPS_NOW)
    found = compare_evaluations(one, one, {})

    assert found.same_rows
    assert (found.moved, found.appeared, found.vanished) == ((), (), ())


@pytest.mark.parametrize(
    "change", [{"batches": ("2013-08",)}, {"rows": 26911}, {"units": 31}, {"positives": 3701}, {"unlabelled": 0}]
)
def test_other_rows_are_other_rows(change):
    assert compared().same_rows
    assert not compared(**change).same_rows


@pytest.mark.parametrize(
    "change", [{"target": "cancelled"}, {"project": "tumours"}, {"unit": "week"}, {"confidence": 0.9}]
)
def test_what_cannot_be_compared_is_an_error_that_names_it(change):
    with pytest.raises(PipelineError, match=next(iter(change))):
        compared(**change)


def test_groups_without_an_interval_or_a_number_are_passed_over():
    before = evaluation(METRICS_NOW, {"s": {"g": (0.7, 0.01, 900), "h": (0.7, 0.01, 900)}})
    group, other = before.slices["s"].groups
    silent = group.metrics["roc_auc"].model_copy(update={"low": None, "high": None, "reason": "one class"})
    broken = other.metrics["roc_auc"].model_copy(update={"value": math.nan})
    groups = (
        group.model_copy(update={"metrics": {"roc_auc": silent}}),
        other.model_copy(update={"metrics": {"roc_auc": broken}}),
    )
    after = before.model_copy(update={"slices": {"s": before.slices["s"].model_copy(update={"groups": groups})}})

    found = compare_evaluations(before, after, {})
    assert (found.compared, found.moved) == (0, ())


def test_alone_there_are_values_and_no_comparison():
    found = compare_evaluations(None, evaluation(METRICS_NOW, GROUPS_NOW), DIFFERENCES)

    assert found.batches_before == ()
    assert [(metric.name, metric.before) for metric in found.metrics] == [(name, None) for name in METRICS_NOW]
    assert found.metrics[0].difference == DIFFERENCES["roc_auc"]


def test_metrics_of_one_side_alone_are_kept():
    before = evaluation({"brier": METRICS_NOW["log_loss"]}, {})
    found = compare_evaluations(before, evaluation({"roc_auc": METRICS_NOW["roc_auc"]}, {}), {})

    assert [(each.name, each.now is None, each.before is None) for each in found.metrics] == [
        ("roc_auc", False, True),
        ("brier", True, False),
    ]


def test_the_champion_s_figures_give_the_differences():
    figures = PASSED[1].figures | {
        "roc_auc.value": 0.02,
        "roc_auc.low": -0.001,
        "roc_auc.high": 0.04,
        "roc_auc.margin": 0.002,
    }

    assert paired_differences(figures) == {
        "log_loss": PairedDifference(value=-0.0093, low=-0.0142, high=-0.0041),
        "roc_auc": PairedDifference(value=0.02, low=-0.001, high=0.04),
    }


@pytest.mark.parametrize(
    "figures", [{}, {"value": 0.7, "metric": "roc_auc"}, {"metric": "a", "champion": 1, "value": "b"}]
)
def test_figures_that_compare_nothing_give_none(figures):
    assert paired_differences(figures) == {}


def test_models_are_compared_by_what_they_were_made_with():
    before = ModelManifest.model_validate(MANIFEST)
    after = ModelManifest.model_validate(
        MANIFEST
        | {
            "parameters": {"C": 0.1, "solver": {"name": "lbfgs"}},
            "features": ("area", "texture"),
            "training_batches": ("0001", "0002"),
            "libraries": {"python": "3.12", "scikit-learn": "1.9.1"},
            "model_digest": "sha256:" + "cd" * 32,
        }
    )

    assert {change.name: (change.old, change.new) for change in compare_models(before, after)} == {
        "trained on": ("0001", "0001 to 0002 (2 batches)"),
        "parameters.C": ("1.0", "0.1"),
        "library scikit-learn": ("1.9.0", "1.9.1"),
        "features added": (None, "texture"),
        "features removed": ("radius", None),
    }
    assert compare_models(before, before) == ()
