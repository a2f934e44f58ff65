"""The gauges of a monitoring report, read back by Prometheus' own parser."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from tests.gitrain.reports.monitored import CASES, GOLDEN, HOSTILE, alarmed, healthy, hostile, huge, unlabelled

from gitrain.reports.monitoring_prometheus import render_monitoring_metrics


def read(report):
    """The samples: name and labels to value."""
    families = list(text_string_to_metric_families(render_monitoring_metrics(report)))
    assert all(family.type == "gauge" and family.documentation for family in families)
    samples = [sample for family in families for sample in family.samples]
    assert all(sample.timestamp is None for sample in samples)
    keys = [(sample.name.removeprefix("gitrain_monitoring_"), frozenset(sample.labels.items())) for sample in samples]
    assert len(keys) == len(set(keys)), "a sample stands twice: the collector would refuse the file"
    return dict(zip(keys, (sample.value for sample in samples), strict=True))


def value(report, name, **labels):
    """The value of the one sample that has these labels besides others."""
    found = [each for (key, all_), each in read(report).items() if key == name and labels.items() <= dict(all_).items()]
    assert len(found) == 1, f"{name} {labels}: {found}"
    return found[0]


def test_the_file_is_as_it_was_agreed():
    assert render_monitoring_metrics(alarmed()) == (GOLDEN / "monitoring.prom").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", [*CASES.values(), huge])
def test_prometheus_reads_it_and_each_sample_says_whose_it_is(case):
    samples = read(case())

    assert samples
    assert all(
        {"project": "flight-delay", "environment": "production"}.items() <= dict(key).items() for _, key in samples
    )


def test_figures_arrive_as_they_are():
    report = alarmed()
    tested = next(each for each in report.sequences if each.release == "1.4.1" and each.name == "performance:log_loss")

    assert value(report, "outcome", outcome="FAILED") == 1
    assert value(report, "outcome", outcome="PASSED") == 0
    assert value(report, "verdict", verdict="skew:temp", decides="true") == 2
    assert value(report, "verdict", verdict="drift:temp", decides="false") == 2
    assert value(report, "predictions") == report.labels.predictions
    assert value(report, "label_coverage_ratio") == pytest.approx(report.labels.coverage)
    assert value(report, "tested_lower", verdict=tested.name, release="1.4.1") == pytest.approx(tested.looks[-1].lower)
    assert value(report, "alarm", verdict=tested.name, release="1.4.1") == 1
    assert value(healthy(), "alarm", verdict=tested.name) == 0
    assert value(report, "feature_psi", feature="temp") == pytest.approx(report.features[0].psi)
    assert value(report, "generated_timestamp_seconds") == report.generated.timestamp()


@pytest.mark.repository
def test_every_gauge_is_explained():
    page = (Path(__file__).parents[3] / "docs" / "monitoring-report.md").read_text(encoding="utf-8")
    explained = {
        name for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }

    assert {name for case in CASES.values() for name, _ in read(case())} == explained


def test_what_is_not_known_has_no_sample():
    names = {name for name, _ in read(unlabelled())}

    assert "predictions" in names
    assert not names & {"loss", "label_coverage_ratio", "tested", "calibration_error", "slice_loss"}


@given(st.text(min_size=1, max_size=40))
@example(HOSTILE)
@example('a"b\\c\nd')
def test_labels_are_escaped(text):
    samples = read(hostile(text))

    assert all(dict(key)["environment"] == text for _, key in samples)


def test_numbers_that_are_none_are_left_out():
    report = healthy()
    features = tuple(each.model_copy(update={"psi": float("nan")}) for each in report.features)

    assert "feature_psi{" not in render_monitoring_metrics(report.model_copy(update={"features": features}))
