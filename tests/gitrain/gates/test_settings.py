import math
from datetime import date, timedelta
from typing import Any

import pytest

from gitrain.errors import SettingsError
from gitrain.gates.settings import HoldoutFacts, check_settings, gate_names
from gitrain.gates.waivers import check_waivers
from gitrain.metrics import EXPECTED_CALIBRATION_ERROR, LOG_LOSS, METRICS, ROC_AUC
from gitrain.pipeline.params import GatesParams

TODAY = date(2026, 3, 1)
METRICS_OF_PROJECT = (ROC_AUC, EXPECTED_CALIBRATION_ERROR)
FACTS = HoldoutFacts(rows=1000, perfect={"roc_auc": 1.0, "log_loss": 0.0, "expected_calibration_error": 0.0})
GOOD: dict[str, Any] = {
    "thresholds": {"roc_auc": {"min": 0.7}, "expected_calibration_error": {"max": 0.06}},
    "leak_alarm": {"roc_auc": {"max": 0.85}},
    "slices": {"town": {"metric": "roc_auc", "min": 0.6}},
    "champion": {"improve": "log_loss", "keep": {"roc_auc": 0.002}},
}


def check(changes=None, *, facts=FACTS, min_rows=0, confidence=0.95, waivers=()):
    content = {key: value for key, value in (GOOD | (changes or {})).items() if value is not None}
    gates = GatesParams.model_validate(content | {"waivers": list(waivers)})
    names = gate_names(gates, metrics=METRICS_OF_PROJECT, slices=["town"])
    return check_settings(
        gates,
        metrics=METRICS_OF_PROJECT,
        reported=(LOG_LOSS,),
        slices={"town": min_rows},
        confidence=confidence,
        waivers=check_waivers(gates.waivers, gates=names, today=TODAY),
        facts=facts,
    )


def thresholds(**changes):
    return {"thresholds": {name: bound for name, bound in (GOOD["thresholds"] | changes).items() if bound is not None}}


def test_good_rules_are_quiet():
    assert check() == {}
    assert check(facts=None) == {}


# What is wrong, how it comes about, the gate whose waiver lets it through (None: none does), what the message says.
BROKEN: dict[str, tuple[dict[str, Any], dict[str, Any], str | None, list[str]]] = {
    "missing threshold": (
        thresholds(roc_auc=None), {}, "threshold:roc_auc", ["no bound for the metric 'roc_auc'", "roc_auc: {min: ...}"],
    ),
    "unknown metric": (thresholds(roc_acu={"min": 0.7}), {}, None, ["no metric 'roc_acu'", "did you mean 'roc_auc'"]),
    "trivial threshold": (thresholds(roc_auc={"min": 0.5}), {}, "threshold:roc_auc", ["without any skill", "0.5"]),
    "trivial maximum": (
        thresholds(expected_calibration_error={"max": 0.25}), {}, "threshold:expected_calibration_error", ["trivial"],
    ),
    "wrong direction": (
        thresholds(roc_auc={"max": 0.7}), {}, "threshold:roc_auc", ["has max", "higher is better", "write min"],
    ),
    "wrong direction of a loss": (
        thresholds(log_loss={"min": 0.1}), {}, "threshold:log_loss", ["lower is better", "write max"],
    ),
    "missing slice": ({"slices": {}}, {}, "slice:town", ["no bound for the slice 'town'"]),
    "unknown slice": (
        {"slices": GOOD["slices"] | {"twon": {"metric": "roc_auc", "min": 0.6}}}, {}, None, ["did you mean 'town'"],
    ),
    "unknown metric of a slice": (
        {"slices": {"town": {"metric": "auc", "min": 0.6}}}, {}, None, ["gates.slices.town.metric", "'roc_auc'"],
    ),
    "trivial slice": ({"slices": {"town": {"metric": "roc_auc", "min": 0.1}}}, {}, "slice:town", ["trivial"]),
    "slice of nothing": ({}, {"min_rows": 1001}, "slice:town", ["1,001 rows", "has 1,000"]),
    "no leak alarm": ({"leak_alarm": {}}, {}, None, ["leak_alarm is empty"]),
    "unknown metric of the alarm": ({"leak_alarm": {"brier": {"min": 0.01}}}, {}, None, ["no metric 'brier'"]),
    "alarm on the wrong side": ({"leak_alarm": {"roc_auc": {"min": 0.85}}}, {}, None, ["never fire", "write max"]),
    "alarm that never fires": ({"leak_alarm": {"roc_auc": {"max": 1.0}}}, {}, None, ["can never fire", "reach 1"]),
    "alarm below perfect loss": ({"leak_alarm": {"log_loss": {"min": 0.0}}}, {}, None, ["can never fire"]),
    "alarm that always fires": (
        {"leak_alarm": {"roc_auc": {"max": 0.7}}}, {}, None, ["fires on every model that passes"],
    ),
    "no champion": ({"champion": None}, {}, "champion", ["gates.champion is missing"]),
    "unknown metric to improve": ({"champion": {"improve": "logloss"}}, {}, None, ["did you mean 'log_loss'"]),
    "unknown metric to keep": (
        {"champion": {"improve": "log_loss", "keep": {"auc": 0.1}}}, {}, None, ["gates.champion.keep.auc"],
    ),
    "wide margin": (
        {"champion": {"improve": "log_loss", "keep": {"roc_auc": 0.05}}}, {}, "champion", ["keeps nothing", "10%"],
    ),
    "low confidence": ({}, {"confidence": 0.6}, "champion", ["evaluation.confidence", "20%"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_what_would_turn_a_gate_off_is_an_error(kind):
    changes, arguments, _, said = BROKEN[kind]
    with pytest.raises(SettingsError) as raised:
        check(changes, **arguments)
    assert raised.value.exit_code == 2
    assert str(raised.value).startswith("params.yaml: ")
    for part in said:
        assert part in str(raised.value)


@pytest.mark.parametrize("kind", [kind for kind, (_, _, gate, _) in BROKEN.items() if gate is not None])
def test_a_waiver_of_that_gate_lets_it_through_until_its_day(kind):
    changes, arguments, gate, _ = BROKEN[kind]
    waiver = {"gate": gate, "reason": "agreed in the review of May", "expires": TODAY}
    assert list(check(changes, **arguments, waivers=[waiver])) == [gate]
    waiver["expires"] = TODAY - timedelta(days=1)
    with pytest.raises(SettingsError, match="its waiver expired on 2026-02-28"):
        check(changes, **arguments, waivers=[waiver])


@pytest.mark.parametrize("gate", ["threshold:expected_calibration_error", "champion", "slice:town"])
def test_a_waiver_of_another_gate_lets_nothing_through(gate):
    waiver = {"gate": gate, "reason": "agreed in the review of May", "expires": TODAY}
    with pytest.raises(SettingsError, match="no bound for the metric 'roc_auc'"):
        check(thresholds(roc_auc=None), waivers=[waiver])


def test_several_problems_are_counted():
    with pytest.raises(SettingsError, match="2 more problems follow it"):
        check(thresholds(roc_auc=None) | {"leak_alarm": {}, "champion": None})


def test_labels_of_one_class_leave_what_depends_on_them_unchecked():
    facts = HoldoutFacts(rows=1000, perfect={"roc_auc": math.nan, "log_loss": 0.0})
    assert check({"leak_alarm": {"roc_auc": {"max": 0.99}}}, facts=facts) == {}


@pytest.mark.parametrize("name", METRICS)
def test_what_no_skill_reaches_is_trivial_for_every_metric(name):
    metric = METRICS[name]
    side = "min" if metric.direction == "higher" else "max"
    gates = GatesParams.model_validate(GOOD | {"thresholds": {name: {side: metric.no_skill}}, "slices": {}})
    waivers = check_waivers([], gates=[], today=TODAY)
    with pytest.raises(SettingsError, match="is trivial"):
        check_settings(
            gates, metrics=(metric,), reported=tuple(METRICS.values()), slices={}, confidence=0.95, waivers=waivers
        )


def test_the_gates_of_a_project_in_order():
    gates = GatesParams.model_validate(GOOD | thresholds(log_loss={"max": 0.6}))
    assert gate_names(gates, metrics=METRICS_OF_PROJECT, slices=["town"]) == [
        "threshold:roc_auc",
        "threshold:expected_calibration_error",
        "threshold:log_loss",
        "slice:town",
        "leak-alarm:roc_auc",
        "champion",
    ]
