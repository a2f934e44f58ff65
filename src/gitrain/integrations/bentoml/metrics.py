"""What a service counts, for Prometheus.

Workers keep their numbers in files, in the folder that BentoML names, and /metrics adds up those of all workers. A
write costs a microsecond or two, so that rows predicted together are counted together.

BentoML's own metrics are off: they keep a number for each path that anybody ever asked for.
"""

import os
from collections import Counter as Tally
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
    values,
)

from gitrain.serving.log_records import PredictedRows
from gitrain.serving.shadow import Compared, CopyOutcome

__all__ = ["BANDS", "ServiceMetrics"]

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

#: The ten bands of probability; 1.0 belongs to the last.
BANDS = tuple(f"{band / 10:.1f}-{(band + 1) / 10:.1f}" for band in range(10))

_process = os.getpid()


def _note_process() -> None:
    global _process  # noqa: PLW0603
    _process = os.getpid()


# The library asks for the process at every count, to notice a fork: a fork can say so itself.
os.register_at_fork(after_in_child=_note_process)
if _FOLDER in os.environ:
    values.ValueClass = values.MultiProcessValue(lambda: _process)  # type: ignore[no-untyped-call]

_SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class ServiceMetrics:
    """The numbers of one worker.

    ============================================  =========  =======================================================
    metric                                        labels     meaning
    ============================================  =========  =======================================================
    gitrain_requests_total                        status     requests to /predict by the status they were answered with
    gitrain_request_seconds                                  from a request's arrival to its answer
    gitrain_predictions_total                     band       predictions by band of probability, ten of equal width
    gitrain_decisions_total                       decision   predictions by what was decided: true, false
    gitrain_calls_total                                      look-ups and scorings; predictions / calls went together
    gitrain_missing_features_total                feature    features that were null, by their name
    gitrain_stale_histories_total                 history    predictions that the store was behind for, by history
    gitrain_newest_row_timestamp_seconds          history    when the store's newest row became known
    gitrain_prediction_log_records_total          outcome    written, or lost: full (queue), error (disk)
    gitrain_release_info                          several    1, with the release's version, commit, model and format
    gitrain_ready                                            1 if the model answers its known rows and the store answers
    gitrain_model_load_seconds                               how long it took to open the model
    gitrain_shadow_copies_total                   outcome    copies for another release: compared, failed (no answer, or
                                                             a 5xx), refused (4xx), dropped (queue full, or it was busy)
    gitrain_shadow_rows_total                                rows that were compared
    gitrain_shadow_differences_total              kind       rows that differ: decision, probability (by more than 0.3)
    ============================================  =========  =======================================================

    Args:
        registry: of the process; tests bring their own.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        self._requests = Counter("gitrain_requests", "Requests to /predict by status", ["status"], registry=registry)
        self._seconds = Histogram(
            "gitrain_request_seconds", "From a request's arrival to its answer", buckets=_SECONDS, registry=registry
        )
        predictions = Counter("gitrain_predictions", "Predictions by band of probability", ["band"], registry=registry)
        # All at zero from the start: a rate needs a first value.
        self._bands = [predictions.labels(band) for band in BANDS]
        decisions = Counter("gitrain_decisions", "Predictions by what was decided", ["decision"], registry=registry)
        self._decisions = {value: decisions.labels(str(value).lower()) for value in (True, False)}
        self._calls = Counter("gitrain_calls", "Look-ups and scorings of rows together", registry=registry)
        self._missing = Counter("gitrain_missing_features", "Null features", ["feature"], registry=registry)
        self._stale = Counter(
            "gitrain_stale_histories", "Predictions that the store was behind for", ["history"], registry=registry
        )
        self._newest = Gauge(
            "gitrain_newest_row_timestamp_seconds",
            "When the newest row of a history became known",
            ["history"],
            registry=registry,
            multiprocess_mode="max",
        )
        self._newest_seen: Mapping[str, datetime | None] = {}
        log = Counter("gitrain_prediction_log_records", "Records of predictions", ["outcome"], registry=registry)
        self._log = {outcome: log.labels(outcome) for outcome in ("written", "full", "error")}
        self._release = Gauge(
            "gitrain_release_info",
            "The release that answers",
            ["project", "version", "commit", "model", "format"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        # The least ready worker speaks for all.
        self._ready = Gauge("gitrain_ready", "Whether it is ready", registry=registry, multiprocess_mode="livemin")
        self._load = Gauge(
            "gitrain_model_load_seconds",
            "How long it took to open the model",
            registry=registry,
            multiprocess_mode="livemax",
        )
        copies = Counter("gitrain_shadow_copies", "Copies sent to another release", ["outcome"], registry=registry)
        self._copies = {outcome: copies.labels(outcome) for outcome in ("compared", "failed", "refused", "dropped")}
        self._copied_rows = Counter("gitrain_shadow_rows", "Rows of copies that were compared", registry=registry)
        differences = Counter("gitrain_shadow_differences", "Rows of copies that differ", ["kind"], registry=registry)
        self._differences = {kind: differences.labels(kind) for kind in ("decision", "probability")}
        self._named = False
        self._missing_of: dict[str, Counter] = {}
        self._by_status = {status: self._requests.labels(str(status)) for status in (200, 400, 422, 429, 503)}

    def answered(self, status: int, seconds: float) -> None:
        """A request to /predict has been answered."""
        counter = self._by_status.get(status)
        if counter is None:
            # Statuses are few: no request makes one up.
            counter = self._by_status[status] = self._requests.labels(str(status))
        counter.inc()
        self._seconds.observe(seconds)

    def predicted(self, rows: PredictedRows, newest: Mapping[str, datetime | None]) -> None:
        """Rows have been predicted together."""
        self._calls.inc()
        if not self._named:
            self._named = True
            for name in rows.features:
                self._missing.labels(name)
            for name in newest:
                self._stale.labels(name)
        # One by one: mostly these are few, and every call of NumPy costs as much as ten of them.
        for band, count in Tally(min(int(each * 10), 9) for each in rows.probabilities.tolist()).items():
            self._bands[band].inc(count)
        positive = sum(rows.decisions.tolist())
        for value, count in ((True, positive), (False, len(rows) - positive)):
            if count:
                self._decisions[value].inc(count)
        for name, count in Tally(name for names in rows.missing for name in names).items():
            if name not in self._missing_of:
                self._missing_of[name] = self._missing.labels(name)
            self._missing_of[name].inc(count)
        for name, count in Tally(name for names in rows.stale for name in names).items():
            self._stale.labels(name).inc(count)
        # A look-up gives one mapping for as long as the store does not change.
        if newest is not self._newest_seen:
            self._newest_seen = newest
            for name, when in newest.items():
                if when is not None:
                    self._newest.labels(name).set(when.timestamp())

    def written(self, rows: int) -> None:
        """Records of the prediction log are on disk."""
        self._log["written"].inc(rows)

    def dropped(self, rows: int, reason: Literal["full", "error"]) -> None:
        """Records of the prediction log are lost."""
        self._log[reason].inc(rows)

    def opened(self, *, seconds: float, labels: Mapping[str, str]) -> None:
        """The model is open; `labels` as of gitrain_release_info."""
        self._load.set(seconds)
        self._release.labels(**labels).set(1)

    def copied(self, outcome: CopyOutcome, compared: Compared | None) -> None:
        """A copy of a request was sent to another release, or should have been; `compared` where both answered."""
        self._copies[outcome].inc()
        if compared is not None:
            self._copied_rows.inc(compared.rows)
            self._differences["decision"].inc(compared.decisions)
            self._differences["probability"].inc(compared.far)

    def ready(self, value: bool) -> None:
        """Whether the worker is ready."""
        self._ready.set(1 if value else 0)

    def text(self) -> tuple[bytes, str]:
        """The numbers of all workers in Prometheus' text format, and its media type."""
        registry = self._registry
        if registry is REGISTRY and _FOLDER in os.environ:
            registry = CollectorRegistry()
            # Its functions are not typed.
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST

    def close(self) -> None:
        """The worker ends: what is only true of the living (ready, release) goes with it; what was counted stays."""
        if self._registry is REGISTRY and _FOLDER in os.environ:
            multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]
