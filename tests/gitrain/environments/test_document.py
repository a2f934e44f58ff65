"""The environments' files: strict, with errors that name the file and the key."""

from pathlib import Path

import pytest

from gitrain.deployment.canary import DEFAULT_RULES, rules_of
from gitrain.environments.document import CanaryLimits, Environment, environment_path, parse_environment
from gitrain.errors import SettingsError, UsageError

DIGEST = f"sha256:{'0' * 64}"

WHOLE = f"""
schema_version: 1
release: 1.4.0
digest: {DIGEST}
promotes_from: preprod
runtime:
  deployer: kubernetes
  replicas: 3
  resources: {{memory: 350Mi, cpu: 0.5}}
  start_seconds: 20
  load_seconds: 2
  stop_seconds: 10
probes:
  smoke: {{ready_seconds: 25}}
  contract: {{requests: 100}}
  load:
    rate: 200
    seconds: 30
    arrivals: poisson
    limits: {{p99_ms: 10, longest_pause_ms: 30, missing: 0.01}}
gates: {{successful_runs: 2}}
strategy:
  kind: canary
  steps:
    - {{percent: 5, seconds: 60}}
    - {{percent: 50, seconds: 60}}
suspend: true
"""


def test_a_whole_file_is_read():
    environment = parse_environment(WHOLE, "production")

    assert (environment.release, environment.digest, environment.suspend) == ("1.4.0", DIGEST, True)
    assert environment.runtime.resources.memory_bytes == 350 * 2**20
    assert environment.probes.load.limits.p99_ms == 10
    assert [step.percent for step in environment.strategy.steps] == [5, 50]


def test_only_the_version_of_the_format_is_required():
    environment = parse_environment("schema_version: 1", "test")

    assert environment == Environment(schema_version=1)
    assert environment.release is None
    assert environment.probes.load.limits.errors == 0


@pytest.mark.parametrize(
    "listen", ["localhost:1", "localhost.:80", f"{'x' * 63}.example.org:443", "0.0.0.0:80", "[::]:80", "[::1]:65535"]
)
def test_an_address_that_can_be_looked_up_is_one(listen):
    environment = parse_environment(f"schema_version: 1\nruntime: {{listen: '{listen}'}}", "test")

    assert environment.runtime.listen == listen


CANARY = "schema_version: 1\nstrategy: {kind: canary, steps: [{percent: 5, seconds: 1}]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema_version: 2", "'schema_version' is 2"),
        ("schema_version: 1\nrelaese: 1.0.0", "unknown key 'relaese'"),
        ("schema_version: 1\nrelease: 1.4.0", "'digest' is None: release and digest stand together"),
        (f"schema_version: 1\ndigest: {DIGEST}", "release and digest stand together"),
        ("schema_version: 1\nrelease: v1.4.0", "'release' is 'v1.4.0'"),
        (f"schema_version: 1\nfollows: main\nrelease: 1.4.0\ndigest: {DIGEST}", "follows a branch or names a release"),
        ("schema_version: 1\ngates: {successful_runs: 2}", "promotes_from, which is not given"),
        ("schema_version: 1\nruntime: {resources: {memory: 1G}}", "'runtime.resources.memory' is '1G'"),
        ("schema_version: 1\nruntime: {resources: {memroy: 1Gi}}", "did you mean 'memory'"),
        ("schema_version: 1\nruntime: {resources: {cpu: 0}}", "'runtime.resources.cpu' is 0"),
        ("schema_version: 1\nruntime: {listen: '127.0.0.1:65536'}", "'runtime.listen' is '127.0.0.1:65536'"),
        (
            "schema_version: 1\nruntime: {listen: 'a..b:80'}",
            "'runtime.listen' is 'a..b:80': each part of a host's name",
        ),
        ("schema_version: 1\nruntime: {listen: '.:80'}", "'runtime.listen' is '.:80'"),
        ("schema_version: 1\nruntime: {listen: '.a:80'}", "'runtime.listen' is '.a:80'"),
        (f"schema_version: 1\nruntime: {{listen: 'a.{'x' * 64}:80'}}", "'runtime.listen' is 'a.xxx"),
        ("schema_version: 1\nprobes: {load: {limits: {p99: 10}}}", "did you mean 'p99_ms'"),
        ("schema_version: 1\nprobes: {load: {rate: .inf}}", "'probes.load.rate' is inf"),
        ("schema_version: 1\nprobes: {load: {rate: 100000, seconds: 3600}}", "ten million requests"),
        ("schema_version: 1\nstrategy: {kind: canary}", "a canary has steps"),
        ("schema_version: 1\nstrategy: {steps: [{percent: 5, seconds: 1}]}", "a canary has steps"),
        (
            "schema_version: 1\nstrategy: {kind: canary, steps: [{percent: 5, seconds: 1}, {percent: 5, seconds: 1}]}",
            "percentages have to rise",
        ),
        (
            "schema_version: 1\nstrategy: {kind: canary, steps: [{percent: 100, seconds: 1}]}",
            "'strategy.steps.0.percent' is 100: a step is 99 at most: all of them follow by themselves",
        ),
        ("schema_version: 1\nstrategy: {judge: {requests: 10}}", "judge and shadow are of a canary"),
        ("schema_version: 1\nstrategy: {shadow: {percent: 10}}", "judge and shadow are of a canary"),
        (f"{CANARY}, judge: {{limits: {{error: 1}}}}}}", "did you mean 'errors'"),
        (f"{CANARY}, judge: {{limits: {{slow: 1}}}}}}", "'strategy.judge.limits.slow' is 1"),
        (f"{CANARY}, judge: {{alpha: 0}}}}", "'strategy.judge.alpha' is 0"),
        (f"{CANARY}, judge: {{requests: 0}}}}", "'strategy.judge.requests' is 0"),
        (f"{CANARY}, shadow: {{percent: 0}}}}", "'strategy.shadow.percent' is 0"),
        (f"{CANARY}, shadow: {{seconds: -1}}}}", "'strategy.shadow.seconds' is -1"),
        ("- 1", "holds list"),
        ("suspend: true\nsuspend: false\nschema_version: 1", "stands twice"),
    ],
)
def test_what_is_wrong_is_named(text, message):
    with pytest.raises(SettingsError) as raised:
        parse_environment(text, "test")

    assert message in str(raised.value)
    assert "environments/test.yaml" in str(raised.value)


@pytest.mark.parametrize("name", ["", "Prod", "../../etc/passwd", "a b", "-x", "x" * 41, "prod.yaml", "prod\n"])
def test_a_name_that_is_no_name_is_refused(name):
    with pytest.raises(UsageError, match="no name of an environment"):
        environment_path(name)


def test_no_environment_promotes_from_itself():
    with pytest.raises(UsageError, match="promotes from itself"):
        parse_environment("schema_version: 1\npromotes_from: test", "test")


@pytest.mark.repository
@pytest.mark.parametrize("name", ["test", "preprod", "production"])
def test_this_repositorys_own_environments_are_read(name):
    root = Path(__file__).resolve().parents[3]
    environment = parse_environment((root / environment_path(name)).read_text(encoding="utf-8"), name)

    assert environment.follows == ("main" if name == "test" else None)
    assert environment.promotes_from == {"test": None, "preprod": "test", "production": "preprod"}[name]


def test_what_is_slow():
    assert parse_environment("schema_version: 1", "test").slow_seconds == 0.1
    limits = "probes: {load: {limits: {p99_ms: 20}}}"
    assert parse_environment(f"schema_version: 1\n{limits}", "test").slow_seconds == 0.02
    assert parse_environment(f"{CANARY}, judge: {{slow_ms: 30}}}}\n{limits}", "test").slow_seconds == 0.03


def test_a_limit_that_is_not_judged_by_is_null():
    limits = parse_environment(f"{CANARY}, judge: {{limits: {{positive: null}}}}}}", "test").strategy.judge.limits
    assert (limits.positive, limits.errors) == (None, 0.005)
    assert "positive" not in {rule.name for rule in rules_of(limits)}
    assert [rule.margin for rule in rules_of(limits) if rule.name == "errors"] == [0.005]


def test_every_limit_is_a_rule_and_every_rule_has_a_limit():
    assert list(CanaryLimits.model_fields) == [rule.name for rule in DEFAULT_RULES]
    assert rules_of(CanaryLimits()) == DEFAULT_RULES
