"""Every field of an environment's file, altered in many ways: refused with its reason, or read as it stands."""

import copy
import math

import pytest
import yaml
from pydantic import BaseModel

from gitrain.documents import parse
from gitrain.environments.document import Environment, parse_environment
from gitrain.errors import SettingsError

DIGEST = f"sha256:{'0' * 64}"
LIMITS = ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms", "longest_pause_ms")
SHARES = ("errors", "refused", "missing", "stale")
# Every key that there is, none at its default.
WHOLE = {
    "schema_version": 1,
    "follows": None,
    "release": "1.4.0",
    "digest": DIGEST,
    "promotes_from": "preprod",
    "runtime": {
        "deployer": "kubernetes",
        "replicas": 3,
        "listen": "127.0.0.1:8083",
        "resources": {"memory": "350Mi", "cpu": 0.5},
        "start_seconds": 20.5,
        "load_seconds": 2.5,
        "stop_seconds": 10.5,
    },
    "probes": {
        "smoke": {"ready_seconds": 25.5},
        "contract": {"requests": 100},
        "load": {
            "rate": 200.5,
            "seconds": 30.5,
            "warm_up_seconds": 1.5,
            "arrivals": "poisson",
            "timeout_seconds": 5.5,
            "limits": dict.fromkeys(LIMITS, 10.5) | dict.fromkeys(SHARES, 0.125),
        },
        "required": ["smoke", "load"],
    },
    "gates": {"successful_runs": 2, "soak_minutes": 5.5},
    "strategy": {
        "kind": "canary",
        "steps": [{"percent": 5, "seconds": 60.5}, {"percent": 50, "seconds": 60.5}],
        "judge": {
            "requests": 600,
            "wait_seconds": 60.5,
            "alpha": 0.125,
            "slow_ms": 10.5,
            "limits": dict.fromkeys(
                ("errors", "refused", "slow", "missing", "stale", "positive", "disagreement", "distance"), 0.125
            ),
        },
        "shadow": {"percent": 11, "seconds": 30.5},
        "standby": False,
    },
    "suspend": True,
}
# Impossible by its kind or by its size, whatever the field.
SPOILT = ("text", "", "3", "1e3", "true", True, False, -1, 10**30, math.nan, math.inf, -math.inf, None, [], {})


def places(document, at=()):
    """All places of a document: sections, lists, single values."""
    if at:
        yield at
    if isinstance(document, dict | list):
        keys = document if isinstance(document, dict) else range(len(document))
        for key in keys:
            yield from places(document[key], (*at, key))


PLACES = list(places(WHOLE))


def put(at, value, document=WHOLE):
    """The document with another value at a place."""
    changed = copy.deepcopy(document)
    section = changed
    for key in at[:-1]:
        section = section[key]
    section[at[-1]] = value
    return changed


def found(at, document):
    for key in at:
        document = document[key]
    return document


def read(document):
    return parse(Environment, document, source="environments/production.yaml")


def plain(value):
    """What was read, as YAML would have it."""
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def refused(document, at):
    with pytest.raises(SettingsError) as raised:
        read(document)
    error = raised.value
    assert error.what.startswith("environments/production.yaml"), error.what
    assert error.fix.strip(), at
    return error.what


def test_the_document_has_every_key_and_none_at_its_default():
    assert plain(read(WHOLE)) == WHOLE
    assert plain(parse_environment(yaml.safe_dump(WHOLE), "production")) == WHOLE
    default = plain(Environment(schema_version=1))
    # `follows` excludes the release.
    named = [at for at in places(default) if at in PLACES and isinstance(at[-1], str)]
    same = {at for at in named if found(at, default) == found(at, WHOLE)}
    assert same <= {("schema_version",), ("follows",)}


@pytest.mark.parametrize("at", PLACES, ids=lambda at: ".".join(map(str, at)))
def test_a_value_is_refused_or_read_as_it_stands(at):
    """Never as something else: neither true as 1, nor a text as a number, nor nothing as a default."""
    for value in (*SPOILT, [found(at, WHOLE)], {"x": found(at, WHOLE)}):
        try:
            environment = read(put(at, value))
        except SettingsError as error:
            assert error.what.startswith("environments/production.yaml"), error.what
            assert str(at[0]) in error.what or "release" in error.what, (value, error.what)
            assert error.fix.strip()
            continue
        if value == {}:
            # A section that is there and empty is one at its defaults; documented.
            assert isinstance(found(at, WHOLE), dict)
            continue
        now = found(at, plain(environment))
        assert now == value, (value, now)
        assert isinstance(now, bool) == isinstance(value, bool), (value, now)
        assert isinstance(now, str) == isinstance(value, str), (value, now)


@pytest.mark.parametrize("at", [at for at in PLACES if not isinstance(found(at, WHOLE), dict)], ids=str)
def test_a_single_value_of_another_kind_is_refused(at):
    """The spoilt values are no accident of one kind: of each field most are refused, and its own value is read."""
    value = found(at, WHOLE)
    for other in ([], [value], {"x": value}, -1, -math.inf, math.nan):
        if other == [] and isinstance(value, list):
            continue
        assert refused(put(at, other), at)
    assert found(at, plain(read(put(at, value)))) == value


@pytest.mark.parametrize("at", [(), *(at for at in PLACES if isinstance(found(at, WHOLE), dict))], ids=str)
def test_an_unknown_key_is_refused_in_every_section(at):
    what = refused(put((*at, "unheard_of"), 1), at)
    assert f"unknown key {'.'.join(map(str, (*at, 'unheard_of')))!r}" in what


@pytest.mark.parametrize("at", [at for at in PLACES if isinstance(at[-1], str)], ids=str)
def test_a_misspelt_key_is_refused_and_the_right_one_named(at):
    document = copy.deepcopy(WHOLE)
    section = found(at[:-1], document)
    section[at[-1] + "s"] = section.pop(at[-1])
    if at == ("follows",):
        section["follows"] = section.pop("followss")
        section["followz"] = section.pop("follows")
    with pytest.raises(SettingsError) as raised:
        read(document)
    assert "unknown key" in raised.value.what
    assert repr(at[-1]) in raised.value.fix


@pytest.mark.parametrize("at", [("schema_version",), ("release",), ("digest",), ("promotes_from",)], ids=str)
def test_a_key_that_others_need_is_missed(at):
    document = copy.deepcopy(WHOLE)
    del document[at[0]]
    what = refused(document, at)
    assert at[0] in what


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (("schema_version",), 2),
        (("follows",), "main"),
        (("release",), "v1.4.0"),
        (("release",), "1.4"),
        (("release",), 1.4),
        (("release",), "1.4.0-rc.1"),
        (("digest",), DIGEST[:-1]),
        (("digest",), f"{DIGEST}0"),
        (("digest",), DIGEST.upper()),
        (("digest",), "0" * 64),
        (("promotes_from",), "../preprod"),
        (("runtime", "deployer"), "docker"),
        (("runtime", "replicas"), 0),
        (("runtime", "replicas"), 1001),
        (("runtime", "replicas"), 2.5),
        (("runtime", "listen"), "127.0.0.1"),
        (("runtime", "listen"), "127.0.0.1:0"),
        (("runtime", "listen"), "127.0.0.1:65536"),
        (("runtime", "listen"), "127.0.0.1:80\nadmin: on"),
        (("runtime", "resources", "memory"), "0Mi"),
        (("runtime", "resources", "memory"), "350MB"),
        (("runtime", "resources", "cpu"), 0),
        (("runtime", "start_seconds"), 0),
        (("runtime", "start_seconds"), 601),
        (("probes", "required"), ["load"]),
        (("probes", "required"), ["smoke", "smoke"]),
        (("probes", "required"), ["smoke", "vibes"]),
        (("probes", "load", "arrivals"), "uniform"),
        (("probes", "load", "rate"), 0),
        (("probes", "load", "limits", "errors"), 1.5),
        (("gates", "successful_runs"), 1.5),
        (("gates", "soak_minutes"), 525_601),
        (("strategy", "kind"), "blue-green"),
        (("strategy", "kind"), "rolling"),
        (("strategy", "steps"), []),
        (("strategy", "steps", 0, "percent"), 0),
        (("strategy", "steps", 0, "percent"), 50),
        (("strategy", "steps", 1, "percent"), 101),
        (("strategy", "steps", 1, "seconds"), 0),
        (("strategy", "judge", "alpha"), 0),
        (("strategy", "judge", "requests"), 0),
        (("strategy", "shadow", "percent"), 101),
    ],
    ids=str,
)
def test_out_of_bounds(at, value):
    what = refused(put(at, value), at)
    assert any(str(part) in what for part in at), what
