from gitrain.documents import parse_yaml
from gitrain.environments.document import Environment
from gitrain.environments.order import judge_order, last_environments
from gitrain.operations.rehearsal.environments import ENVIRONMENTS, PRODUCTION, RATE, environment_files
from gitrain.operations.rehearsal.sabotage import SLOW_AFTER_SECONDS, SLOW_SECONDS
from gitrain.verdicts import Outcome

FILES = environment_files({"test": 8001, "preprod": 8002, "production": 8003})


def read():
    return {name: parse_yaml(Environment, FILES[f"environments/{name}.yaml"], source=name) for name in ENVIRONMENTS}


def test_they_are_environments_in_an_order_that_ends_in_production():
    found = read()
    assert all(judge_order(name, found).outcome is Outcome.PASSED for name in found)
    assert last_environments(found) == [PRODUCTION]
    assert [each.runtime.listen for each in found.values()] == ["127.0.0.1:8001", "127.0.0.1:8002", "127.0.0.1:8003"]
    assert found["test"].follows == "main"


def test_the_slow_release_is_slow_after_every_probe_and_before_the_canary_ends():
    found = read()
    strategy, load = found[PRODUCTION].strategy, found["preprod"].probes.load
    assert load.seconds + load.warm_up_seconds < SLOW_AFTER_SECONDS / 2
    assert sum(step.seconds for step in strategy.steps) > SLOW_AFTER_SECONDS
    assert found[PRODUCTION].slow_seconds < SLOW_SECONDS


def test_users_send_enough_for_the_canary_to_be_judged_without_waiting():
    strategy = read()[PRODUCTION].strategy
    expected = sum(RATE * step.percent / 100 * step.seconds for step in strategy.steps)
    assert strategy.judge.requests < expected
