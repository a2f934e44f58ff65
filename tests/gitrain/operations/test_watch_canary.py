"""Canaries that are watched by a clock of their own: traffic is made up second by second."""

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.deployment.deployer import Stretch
from gitrain.deployment.figures import ProxiedRequest
from gitrain.deployment.record import RunningRelease
from gitrain.deployment.replicas import Replica
from gitrain.environments.document import parse_environment
from gitrain.operations.watch_canary import CanaryWatch, requests_needed
from gitrain.verdicts import Outcome, worst

STEPS = [{"percent": 10, "seconds": 20}, {"percent": 50, "seconds": 20}]


def file(**strategy):
    keys = {"kind": "canary", "steps": STEPS, "judge": {"requests": 500, "wait_seconds": 30}} | strategy
    return parse_environment(json.dumps({"schema_version": 1, "strategy": keys}), "test")


def replica(version, port):
    release = RunningRelease(version=version, digest=f"sha256:{version[2] * 64}")
    return Replica(id=f"{version}-{port}", release=release, port=port, pid=1, began=datetime(2026, 1, 1, tzinfo=UTC))


CHAMPION, CHALLENGER = replica("1.0.0", 1), replica("1.1.0", 2)


class World:
    """Two releases and their users; every pause of the watcher is a second of traffic."""

    def __init__(self, document, *, rate=100, copied=0.0, seed=0, **challenger):
        self.now = 0.0
        self.rate, self.copied = rate, copied
        self.random = np.random.default_rng(seed)
        self.percent = 0
        self.challenger = challenger
        self.counts = {1: {}, 2: {}}
        # What probes asked before the canary began.
        self.count(2, "gitrain_requests_total", 'status="500"', 400)
        self.seen = []
        self.silent, self.gone = set(), set()
        self.said = []
        self.opened = 0
        self.logs = True
        self.watch = CanaryWatch(
            file=document,
            numbers=self.numbers,
            alive=lambda each: each.port not in self.gone,
            proxied=self.proxied,
            seconds=lambda: self.now,
            pause=self.pause,
            progress=self.said.append,
        )

    def count(self, port, name, labels, number):
        sample = f"{name}{{{labels}}}" if labels else name
        self.counts[port][sample] = self.counts[port].get(sample, 0) + number

    def numbers(self, each):
        if each.port in self.silent | self.gone:
            return None
        return "\n".join(f"{sample} {value}" for sample, value in self.counts[each.port].items())

    @contextlib.contextmanager
    def proxied(self):
        self.opened += 1

        def since():
            found, self.seen = self.seen, []
            return found if self.logs else []

        yield since
        self.opened -= 1

    def pause(self, seconds):
        self.now += seconds
        new = round(self.rate * seconds * self.percent / 100)
        old = round(self.rate * seconds) - new
        self.serve(1, old, {})
        self.serve(2, new, self.challenger)
        copies = round(old * self.copied)
        if copies:
            self.serve(2, copies, self.challenger, copies=True)
            self.count(1, "gitrain_shadow_copies_total", 'outcome="compared"', copies)
            self.count(1, "gitrain_shadow_rows_total", "", copies)
            for kind in ("decision", "probability"):
                wrong = int(self.random.binomial(copies, self.challenger.get("wrong", 0.0)))
                self.count(1, "gitrain_shadow_differences_total", f'kind="{kind}"', wrong)

    def serve(self, port, number, behaviour, *, copies=False):
        if not number:
            return
        errors = int(self.random.binomial(number, behaviour.get("errors", 0.001)))
        slow = int(self.random.binomial(number, behaviour.get("slow", 0.005)))
        true = int(self.random.binomial(number - errors, behaviour.get("positive", 0.3)))
        lost = int(self.random.binomial(number - errors, behaviour.get("missing", 0.01)))
        self.count(port, "gitrain_requests_total", 'status="200"', number - errors)
        self.count(port, "gitrain_requests_total", 'status="500"', errors)
        self.count(port, "gitrain_decisions_total", 'decision="true"', true)
        self.count(port, "gitrain_decisions_total", 'decision="false"', number - errors - true)
        self.count(port, "gitrain_missing_features_total", 'feature="gust"', lost)
        if not copies:
            self.seen += [ProxiedRequest(port=port, status=500, seconds=0.001)] * errors
            self.seen += [ProxiedRequest(port=port, status=200, seconds=1.0)] * min(slow, number - errors)
            fine = max(0, number - errors - slow)
            self.seen += [ProxiedRequest(port=port, status=200, seconds=0.001)] * fine

    def step(self, percent, seconds=20.0, challenger=CHALLENGER):
        self.percent = percent
        stretch = Stretch(
            environment="test",
            url="http://127.0.0.1:1",
            folder=Path(),
            percent=percent,
            seconds=seconds,
            challenger=(challenger,),
            champion=(CHAMPION,),
        )
        verdicts = self.watch(stretch)
        assert self.opened == 0
        return worst(each.outcome for each in verdicts), {each.name.partition(":")[2]: each for each in verdicts}


def test_an_equal_release_passes_each_step_in_its_time():
    world = World(file())
    outcome, verdicts = world.step(10)
    assert (outcome, world.now) == (Outcome.PASSED, 20.0)
    assert set(verdicts) == {"errors", "refused", "slow", "positive", "missing"}
    assert verdicts["errors"].figures["requests"] == 200
    outcome, verdicts = world.step(50)
    assert (outcome, world.now) == (Outcome.PASSED, 40.0)
    # Counting goes on from the step before.
    assert verdicts["errors"].figures["requests"] == 200 + 20 * 50


@pytest.mark.parametrize(
    ("worse", "rule"),
    [
        ({"errors": 0.2}, "errors"),
        ({"slow": 0.9}, "slow"),
        ({"positive": 0.9}, "positive"),
        ({"positive": 0.0}, "positive"),
        ({"missing": 0.5}, "missing"),
    ],
    ids=str,
)
def test_a_worse_release_is_found_before_the_step_is_over(worse, rule):
    world = World(file(), **worse)
    outcome, verdicts = world.step(50)
    assert outcome is Outcome.FAILED
    assert verdicts[rule].outcome is Outcome.FAILED
    assert world.now < 15


def test_probes_from_before_the_canary_are_not_its_own():
    world = World(file(), errors=0.0)
    assert world.step(50)[1]["errors"].figures["events"] == 0


def test_without_enough_requests_a_step_is_prolonged_and_passes_once_they_have_come():
    world = World(file(), rate=22, errors=0.0)
    outcome, verdicts = world.step(50)
    assert outcome is Outcome.PASSED
    assert world.now == 46.0
    assert verdicts["errors"].figures["requests"] == 506
    assert any("prolonged for want of requests: 500 are needed" in line for line in world.said)


def test_without_enough_requests_at_the_end_it_does_not_pass():
    world = World(file(), rate=4)
    outcome, verdicts = world.step(50)
    assert (outcome, world.now) == (Outcome.INCONCLUSIVE, 50.0)
    assert verdicts["errors"].reason.endswith("400 more requests are needed")


def test_without_any_request_it_does_not_pass():
    world = World(file(), rate=0)
    outcome, verdicts = world.step(50)
    assert outcome is Outcome.INCONCLUSIVE
    assert verdicts["requests"].reason == "no requests came in 50 s that it could be judged by"


def test_a_replica_that_is_gone_ends_the_canary_at_once():
    world = World(file())
    world.gone.add(2)
    outcome, verdicts = world.step(10)
    assert (outcome, world.now) == (Outcome.FAILED, 0.0)
    assert verdicts["replicas"].reason == "a replica of 1.1.0 ended by itself"


def test_a_replica_that_says_nothing_ends_it_after_a_while():
    world = World(file())
    world.silent.add(2)
    outcome, verdicts = world.step(10)
    assert (outcome, world.now) == (Outcome.FAILED, 10.0)
    assert verdicts["replicas"].reason == "a replica of 1.1.0 has not answered for 10 s"


def test_a_champion_that_says_nothing_fails_nobody():
    world = World(file())
    world.silent.add(1)
    outcome, verdicts = world.step(10)
    # The proxy has seen what it did; what it says of itself is compared with nothing.
    assert outcome is Outcome.INCONCLUSIVE
    assert verdicts["errors"].outcome is Outcome.PASSED
    assert verdicts["positive"].outcome is Outcome.INCONCLUSIVE


def test_a_proxy_that_does_not_log_lets_nobody_pass():
    """It was started by a version that had no log: what users got from the new release is unknown."""
    world = World(file())
    world.logs = False
    outcome, verdicts = world.step(50)
    assert (outcome, world.now) == (Outcome.INCONCLUSIVE, 30.0)
    assert "`gitrain deploy stop test`, `gitrain deploy apply test`" in verdicts["proxy"].reason
    assert verdicts["proxy"].figures["answered"] == 30 * 50
    # A worse one is ended at once all the same.
    world = World(file(), errors=0.5)
    world.logs = False
    assert world.step(50)[0] is Outcome.FAILED


def test_a_proxy_has_to_log_in_each_stretch():
    world = World(file())
    assert world.step(10)[0] is Outcome.PASSED
    world.logs = False
    assert world.step(50)[1]["proxy"].outcome is Outcome.INCONCLUSIVE


SHADOW = {"percent": 20, "seconds": 10}


def test_copies_alone_are_enough_to_be_judged_by():
    world = World(file(shadow=SHADOW), copied=0.2)
    outcome, verdicts = world.step(0, 10.0)
    assert (outcome, world.now) == (Outcome.PASSED, 10.0)
    assert (verdicts["disagreement"].figures["requests"], verdicts["disagreement"].figures["events"]) == (200, 0)
    assert verdicts["errors"].figures["requests"] == 200


def test_wrong_answers_to_copies_end_it_before_any_user_gets_one():
    world = World(file(shadow=SHADOW), copied=0.2, wrong=0.3)
    outcome, verdicts = world.step(0, 10.0)
    assert outcome is Outcome.FAILED
    assert verdicts["distance"].outcome is Outcome.FAILED
    # Before the stretch in which it gets copies alone is over.
    assert world.now < 10.0


def test_no_copies_at_all():
    world = World(file(shadow=SHADOW), copied=0.0)
    outcome, verdicts = world.step(0, 10.0)
    assert outcome is Outcome.INCONCLUSIVE
    assert verdicts["requests"].reason.startswith("no copies of requests came")


def test_another_release_is_counted_anew():
    world = World(file(), errors=0.5)
    assert world.step(50)[0] is Outcome.FAILED
    world.challenger = {}
    outcome, verdicts = world.step(50, challenger=replica("1.2.0", 2))
    assert outcome is Outcome.PASSED
    assert verdicts["errors"].figures["events"] < 20


def test_what_is_asked_of_each_step():
    document = file(judge={"requests": 600})
    assert [requests_needed(document.strategy, percent) for percent in (10, 50)] == [100, 600]
    shadowed = file(judge={"requests": 600}, shadow={"percent": 100, "seconds": 20})
    assert [requests_needed(shadowed.strategy, percent) for percent in (0, 10, 50)] == [200, 400, 600]


@given(
    st.lists(st.tuples(st.integers(1, 99), st.floats(1, 1000)), min_size=1, max_size=5, unique_by=lambda step: step[0]),
    st.integers(1, 100_000),
)
def test_steps_ask_for_more_and_more_and_the_last_for_all(steps, requests):
    steps = [{"percent": percent, "seconds": seconds} for percent, seconds in sorted(steps)]
    strategy = file(steps=steps, judge={"requests": requests}).strategy
    needed = [requests_needed(strategy, step["percent"]) for step in steps]
    assert needed == sorted(needed)
    assert needed[-1] == requests
    assert needed[0] >= 1
