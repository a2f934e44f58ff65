"""Records of releases altered field by field, and environments that name what was not built: refused."""

import json
import math

import pytest
from tests.gitrain.deployment_records import deployed
from tests.gitrain.forge import PREPROD, forge_at, git

from gitrain.cli import main
from gitrain.integrations.git import GitRepository
from gitrain.release.tags import release_tag


@pytest.fixture
def forged(git_repository, tmp_path):
    """Releases 1.0.0 and 1.1.0; 1.0.0 has succeeded in `test`, and `preprod` desires it."""
    forged = forge_at(git_repository, tmp_path)
    for minute, version in enumerate(("1.0.0", "1.1.0")):
        made = forged.release(version, tmp_path)
        forged.records.add(deployed("test", version, minute=minute, bundle=made.record.bundle_digest))
    return forged


@pytest.fixture
def run(forged, capsys):
    def run(*arguments):
        code = main(["-C", str(forged.root), *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def stored(forged):
    """The file of the record of 1.0.0."""
    (path,) = (forged.root / ".gitrain").rglob("records/1.0.0.json")
    path.chmod(0o644)
    return path


def leaves(payload, at=()):
    if isinstance(payload, dict | list) and payload:
        for key in payload if isinstance(payload, dict) else range(len(payload)):
            yield from leaves(payload[key], (*at, key))
    else:
        yield at


def altered(value):
    """Another value of the same kind: the file is still a record, and written as records are."""
    match value:
        case None:
            return 1
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value / 2
        case str() if value.startswith("sha256:"):
            return value[:-1] + ("0" if value[-1] != "0" else "1")
        case str() if len(value) == 40:
            return value[:-1] + ("0" if value[-1] != "0" else "1")
        case str() if value.endswith("Z"):
            return "2020" + value[4:]
        case str() if value in ("onnx", "skops"):
            return "skops" if value == "onnx" else "onnx"
        case str() if value == "PASSED":
            return "FAILED"
    return f"{value}1"


def changed(payload, at, change):
    spoilt = json.loads(json.dumps(payload))
    place = spoilt
    for key in at[:-1]:
        place = place[key]
    change(place, at[-1])
    return json.dumps(spoilt, indent=2, sort_keys=True) + "\n"


def alter(place, key):
    place[key] = altered(place[key])


def failures(out):
    return [each["reason"] for each in json.loads(out)["verdicts"] if each["outcome"] == "FAILED"]


@pytest.mark.parametrize("published", [False, True])
def test_every_field_of_a_record_is_verified(run, forged, stored, published):
    """Altered one by one, it is still a record, and `release verify` says what is wrong, before it has a tag too."""
    record = forged.made["1.0.0"].record
    payload, text = record.to_payload(), stored.read_text()
    if published:
        GitRepository(forged.root).add_tag(release_tag(record))
    for at in leaves(payload):
        stored.write_text(changed(payload, at, alter))
        code, out, _ = run("release", "verify", "1.0.0", "--json")
        assert code == 1, at
        assert all(failures(out)), at
        assert failures(out), at
    stored.write_text(text)
    assert run("release", "verify", "1.0.0", "--json")[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["missing", "unknown", "other"])
def test_what_is_no_record_any_more_is_refused_wherever_it_is_read(run, forged, stored, kind):
    record = forged.made["1.0.0"].record
    GitRepository(forged.root).add_tag(release_tag(record))
    forged.commit("Desire it", **{"environments__preprod.yaml": wanted(record)})
    payload, accepted = record.to_payload(), 0
    for at in leaves(payload):
        if kind == "missing":
            spoilt = changed(payload, at, lambda place, key: place.pop(key))
        elif kind == "unknown":
            spoilt = changed(
                payload,
                at,
                lambda place, key: place.update({f"{key}s": 1}) if isinstance(place, dict) else place.append({}),
            )
        else:
            spoilt = changed(payload, at, lambda place, key: place.__setitem__(key, {"x": [math.pi]}))
        stored.write_text(spoilt)
        code, _, err = run("deploy", "plan", "preprod")
        if code == 0:
            # A metric or a figure fewer or more is still a record; the tag is what tells.
            assert at[0] in ("metrics", "verdicts"), (kind, at)
            code, out, _ = run("release", "verify", "1.0.0", "--json")
            assert code == 1, (kind, at)
            assert any("names the record" in reason for reason in failures(out)), (kind, at, out)
            accepted += 1
            continue
        assert code in (2, 3), (kind, at)
        assert "records/1.0.0.json" in err, (kind, at, err)
        assert "fix:" in err.lower() or "restore" in err, (kind, at, err)
    assert (accepted > 0) == (kind != "other"), "a value of another kind is never taken for a record"


def wanted(record, **other):
    values = {"release": record.version, "digest": record.bundle_digest} | other
    return PREPROD.replace("release: null", f"release: {values['release']}").replace(
        "digest: null", f"digest: {values['digest']}"
    )


def another_digit(digest):
    return digest[:-1] + ("0" if digest[-1] != "0" else "1")


def test_an_environment_that_names_something_else_than_what_was_built_is_refused(run, forged):
    first, second = (forged.made[version].record for version in ("1.0.0", "1.1.0"))
    spoilt = {
        "a digest with one other digit": {"digest": another_digit(first.bundle_digest)},
        "the digest of another release": {"digest": second.bundle_digest},
        "the version of another release": {"release": "1.1.0"},
        "a version that was never built": {"release": "1.2.0"},
    }
    for name, values in spoilt.items():
        git(forged.root, "checkout", "-q", "-B", "change", "origin/main")
        (forged.root / "environments/preprod.yaml").write_text(wanted(first, **values))
        git(forged.root, "commit", "-q", "-a", "-m", name)
        code, out, _ = run("env", "check", "--base", "origin/main", "--json")
        assert code == 1, name
        reasons = (
            [each["reason"] for each in json.loads(out) if each["outcome"] == "FAILED"]
            if out.startswith("[")
            else failures(out)
        )
        assert reasons, name
        code, _, err = run("deploy", "plan", "preprod")
        assert code != 0, name
        assert "1." in err and ("promote the release again" in err or "release list" in err), (name, err)
    git(forged.root, "checkout", "-q", "-B", "change", "origin/main")
    (forged.root / "environments/preprod.yaml").write_text(wanted(first))
    git(forged.root, "commit", "-q", "-a", "-m", "As it was built")
    assert run("env", "check", "--base", "origin/main")[0] == 0
    assert run("deploy", "plan", "preprod")[0] == 0
