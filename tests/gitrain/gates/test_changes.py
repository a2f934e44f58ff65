from gitrain.gates.changes import changed_rules
from gitrain.pipeline.params import Params


def params(**gates):
    return Params.model_validate(
        {
            "schema_version": 1,
            "data": {"from": "0001", "through": "0002"},
            "training": {"estimator": "a"},
            "estimators": {"a": {}},
            "gates": {"thresholds": {"roc_auc": {"min": 0.7}}, **gates},
        }
    )


def test_equal_rules_have_no_changes_and_data_is_no_rule():
    later = params().model_copy(update={"data": params().data.model_copy(update={"through": "0003"})})
    assert changed_rules(params(), later) == ()


def test_what_is_loosened_added_or_dropped_is_named_by_its_key():
    after = params(thresholds={"roc_auc": {"min": 0.6}, "brier": {"max": 0.2}})
    assert changed_rules(params(), after) == (
        "gates.thresholds.roc_auc.min: 0.7 → 0.6",
        "gates.thresholds.brier.max: nothing → 0.2",
    )
    assert "gates.thresholds.brier.max: 0.2 → nothing" in changed_rules(after, params())


def test_how_the_holdout_is_judged_is_a_rule_and_a_waiver_is_none():
    evaluation = params().evaluation.model_copy(update={"confidence": 0.9})
    assert changed_rules(params(), params().model_copy(update={"evaluation": evaluation})) == (
        "evaluation.confidence: 0.95 → 0.9",
    )
    waiver = {"gate": "champion", "reason": "first deployment", "expires": "2026-01-01"}
    assert changed_rules(params(), params(waivers=[waiver])) == ()
