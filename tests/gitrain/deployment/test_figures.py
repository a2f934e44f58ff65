import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from gitrain.deployment.figures import (
    ProxiedRequest,
    Totals,
    copied_figures,
    parse_numbers,
    proxied_figures,
    served_figures,
)
from gitrain.deployment.sequential import Counted


def test_what_a_library_writes_is_read() -> None:
    registry = CollectorRegistry()
    counter = Counter("requests", "By status", ["status", "path"], registry=registry)
    counter.labels("200", 'a "quoted" \\ path,with=all').inc(3)
    histogram = Histogram("seconds", "Of answers", buckets=(0.1, 1.0), registry=registry)
    for value in (0.05, 0.5, 5.0):
        histogram.observe(value)
    found = parse_numbers(generate_latest(registry).decode())
    (labels,) = [labels for name, labels in found if name == "requests_total"]
    assert dict(labels)["status"] == "200"
    assert found["requests_total", labels] == 3
    assert found["seconds_bucket", (("le", "0.1"),)] == 1
    assert found["seconds_bucket", (("le", "+Inf"),)] == 3
    assert found["seconds_count", ()] == 3
    # What tells of now counts nothing.
    assert not any(name.endswith("_created") for name, _ in found)


@given(st.text())
def test_anything_else_is_passed_over(text: str) -> None:
    parse_numbers(text)


@pytest.mark.parametrize("line", ["a_total nan", "a_total -1", "a_total inf", "a_total", "a_total{ 1", "# a_total 1"])
def test_what_is_no_count_is_passed_over(line: str) -> None:
    assert parse_numbers(line) == {}


A = ("a_total", ())


def test_what_was_counted_before_the_first_look_does_not_count() -> None:
    totals = Totals()
    totals.look("one", {A: 100.0})
    assert dict(totals.grown) == {}
    totals.look("one", {A: 103.0})
    totals.look("two", {A: 50.0})
    totals.look("two", {A: 52.0})
    assert totals.grown[A] == 5


def test_a_counter_that_appears_later_counts_from_zero() -> None:
    totals = Totals()
    totals.look("one", {})
    totals.look("one", {A: 2.0})
    assert totals.grown[A] == 2


@given(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=5), min_size=1, max_size=5))
def test_restarts_lose_nothing_that_was_seen(lives: list[list[int]]) -> None:
    """A process counts up in each of its lives, and begins each at a number below the last one's."""
    totals, expected, last = Totals(), 0, None
    for life in lives:
        count = 0
        for step in life:
            count += step
            totals.look("one", {A: float(count)})
            if last is not None:
                expected += count - last if count >= last else count
            last = count
    assert totals.grown.get(A, 0) == expected


def requests(number: int, status: int = 200, seconds: float = 0.001) -> list[ProxiedRequest]:
    return [ProxiedRequest(port=1, status=status, seconds=seconds)] * number


def test_what_the_proxy_saw() -> None:
    seen = requests(90) + requests(2, 502) + requests(1, 500) + requests(1, 499) + requests(4, 422)
    seen += requests(2, seconds=0.3)
    assert proxied_figures(seen, 0.1) == {
        "errors:proxied": Counted(4, 100),
        "refused:proxied": Counted(4, 100),
        "slow:proxied": Counted(2, 100),
    }
    assert proxied_figures([], 0.1) == {}


def numbers(**values: float) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = []
    for name, value in values.items():
        metric, _, label = name.partition("__")
        key, _, content = label.partition("__")
        text.append(f"{metric}{{{key}={content!r}}} {value}".replace("'", '"') if label else f"{metric} {value}")
    return parse_numbers("\n".join(text))


def test_what_services_say_is_told_by_requests() -> None:
    grown = numbers(
        gitrain_requests_total__status__200=100,
        gitrain_requests_total__status__422=10,
        gitrain_requests_total__status__503=5,
        gitrain_decisions_total__decision__true=250,
        gitrain_decisions_total__decision__false=750,
        gitrain_missing_features_total__feature__gust=100,
        gitrain_missing_features_total__feature__wind=0,
        gitrain_stale_histories_total__history__arrivals=1000,
    )
    assert served_figures(grown, 0.1) == {
        "errors:own": Counted(5, 115),
        "refused:own": Counted(10, 115),
        # A thousand rows of a hundred requests: rows of one request may be alike, requests are not.
        "positive": Counted(25, 100),
        "missing:gust": Counted(10, 100),
        "missing:wind": Counted(0, 100),
        "stale:arrivals": Counted(100, 100),
    }
    assert served_figures({}, 0.1) == {}


@pytest.mark.parametrize(("limit", "slow"), [(0.04, 40), (0.05, 40), (0.06, 10), (0.1, 10), (7.0, 2)])
def test_slow_is_counted_at_the_end_of_the_class_that_the_limit_lies_in(limit: float, slow: int) -> None:
    text = "\n".join(
        f'gitrain_request_seconds_bucket{{le="{end}"}} {count}'
        for end, count in (("0.05", 60), ("0.1", 90), ("2.5", 98), ("+Inf", 100))
    )
    grown = parse_numbers(f"{text}\ngitrain_request_seconds_count 100")
    assert served_figures(grown, limit)["slow:own"] == Counted(slow, 100)


def test_what_became_of_copies() -> None:
    grown = numbers(
        gitrain_shadow_copies_total__outcome__compared=90,
        gitrain_shadow_copies_total__outcome__failed=6,
        gitrain_shadow_copies_total__outcome__refused=4,
        gitrain_shadow_copies_total__outcome__dropped=1000,
        gitrain_shadow_rows_total=180,
        gitrain_shadow_differences_total__kind__decision=18,
        gitrain_shadow_differences_total__kind__probability=2,
    )
    copied, senders = copied_figures(grown)
    assert copied == {
        "errors:copied": Counted(6, 100),
        "refused:copied": Counted(4, 100),
        "disagreement": Counted(9, 90),
        "distance": Counted(1, 90),
    }
    assert senders == {"errors:copied": Counted(0, 100), "refused:copied": Counted(0, 100)}
    assert copied_figures({}) == ({}, {})
