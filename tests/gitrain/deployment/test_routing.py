import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.deployment.routing import Backend, Share, backends_of, turns


@given(st.integers(1, 99), st.integers(1, 5), st.integers(1, 5))
def test_each_release_gets_its_share(percent: int, new: int, old: int) -> None:
    ports = list(range(9000, 9000 + new + old))
    backends = backends_of(
        [Share(percent=percent, ports=tuple(ports[:new])), Share(percent=100 - percent, ports=tuple(ports[new:]))]
    )
    assert [backend.port for backend in backends] == ports
    weights = [backend.weight for backend in backends]
    assert sum(weights[:new]) * 100 == percent * sum(weights)
    # Equal parts for the replicas of one release, and no larger numbers than need be.
    assert len(set(weights[:new])) == len(set(weights[new:])) == 1
    assert math.gcd(*weights) == 1


def test_one_release_alone() -> None:
    assert backends_of([Share(percent=100, ports=(7001, 7000))]) == [Backend(7000, 1), Backend(7001, 1)]


@pytest.mark.parametrize(
    "shares",
    [
        [],
        [Share(percent=90, ports=(1,))],
        [Share(percent=100, ports=())],
        [Share(percent=50, ports=(1, 2)), Share(percent=50, ports=(2,))],
        [Share(percent=100, ports=(1,)), Share(percent=0, ports=(2,))],
    ],
    ids=str,
)
def test_shares_that_cannot_be(shares: list[Share]) -> None:
    with pytest.raises(ValueError, match=r"per cent|replica|twice"):
        backends_of(shares)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_turns_are_as_many_as_the_weights_say_and_evenly_spread(weights: list[int]) -> None:
    backends = [Backend(7000 + number, weight) for number, weight in enumerate(weights)]
    total = sum(weights)
    found = turns(backends, max(total, len(weights)))
    for backend in backends:
        seen = 0
        for number, port in enumerate(found[:total], start=1):
            seen += port == backend.port
            assert abs(seen - number * backend.weight / total) < len(weights)
        assert seen == backend.weight


@pytest.mark.parametrize(("backends", "number"), [([], 1), ([Backend(1, 1), Backend(2, 1)], 1)])
def test_turns_that_cannot_be(backends: list[Backend], number: int) -> None:
    with pytest.raises(ValueError, match="turns for"):
        turns(backends, number)
