import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from tests.gitrain.serving.counters import NEWEST
from tests.gitrain.serving.predicted import predicted

from gitrain.integrations.bentoml.metrics import BANDS, ServiceMetrics


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def metrics(registry):
    return ServiceMetrics(registry)


def test_predictions_are_counted_by_band_and_decision(metrics, registry):
    edges = [0.0, 0.05, 0.1, 0.25, 0.99, 1.0, np.nextafter(0.1, 0)]
    metrics.predicted(predicted(*edges), {})

    found = [registry.get_sample_value("gitrain_predictions_total", {"band": band}) for band in BANDS]
    assert found == [3, 1, 1, 0, 0, 0, 0, 0, 0, 2]
    assert registry.get_sample_value("gitrain_decisions_total", {"decision": "true"}) == 2
    assert registry.get_sample_value("gitrain_decisions_total", {"decision": "false"}) == 5
    assert registry.get_sample_value("gitrain_calls_total") == 1


def test_missing_and_stale_are_counted_by_name(metrics, registry):
    metrics.predicted(predicted(0.1, 0.2, missing=["gust", "wind"], stale=["arrivals"]), {})
    metrics.predicted(predicted(0.1, missing=["gust"]), {})

    assert registry.get_sample_value("gitrain_missing_features_total", {"feature": "gust"}) == 3
    assert registry.get_sample_value("gitrain_missing_features_total", {"feature": "wind"}) == 2
    assert registry.get_sample_value("gitrain_stale_histories_total", {"history": "arrivals"}) == 2


def test_requests_are_counted_by_status_and_timed(metrics, registry):
    for status, seconds in ((200, 0.004), (200, 0.02), (418, 0.5)):
        metrics.answered(status, seconds)

    assert registry.get_sample_value("gitrain_requests_total", {"status": "200"}) == 2
    assert registry.get_sample_value("gitrain_requests_total", {"status": "418"}) == 1
    assert registry.get_sample_value("gitrain_requests_total", {"status": "503"}) == 0
    assert registry.get_sample_value("gitrain_request_seconds_count") == 3
    assert registry.get_sample_value("gitrain_request_seconds_bucket", {"le": "0.005"}) == 1


def test_the_log_the_model_and_readiness(metrics, registry):
    metrics.written(5)
    metrics.dropped(2, "full")
    labels = {"project": "p", "version": "1.0.0", "commit": "c", "model": "m", "format": "onnx"}
    metrics.opened(seconds=0.5, labels=labels)
    metrics.ready(True)
    metrics.predicted(predicted(0.1), {"wind": NEWEST, "rain": None})

    assert registry.get_sample_value("gitrain_prediction_log_records_total", {"outcome": "written"}) == 5
    assert registry.get_sample_value("gitrain_prediction_log_records_total", {"outcome": "full"}) == 2
    assert registry.get_sample_value("gitrain_prediction_log_records_total", {"outcome": "error"}) == 0
    assert registry.get_sample_value("gitrain_release_info", labels) == 1
    assert registry.get_sample_value("gitrain_model_load_seconds") == 0.5
    assert registry.get_sample_value("gitrain_ready") == 1
    newest = "gitrain_newest_row_timestamp_seconds"
    assert registry.get_sample_value(newest, {"history": "wind"}) == NEWEST.timestamp()
    assert registry.get_sample_value(newest, {"history": "rain"}) is None
