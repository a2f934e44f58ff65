import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from gitrain.integrations.cyclonedx import bill_of_materials
from gitrain.release.identity import ReleaseIdentity
from gitrain.release.materials import Materials
from gitrain.release.requirements import parse_requirements

DIGESTS = [f"sha256:{digit * 64}" for digit in "123456789"]
REQUIREMENTS = parse_requirements(
    f"numpy==2.4 ; python_full_version < '3.12' --hash={DIGESTS[0]} --hash={DIGESTS[1]}\n"
    f"numpy==2.5 ; python_full_version >= '3.12' --hash={DIGESTS[2]}\n"
    f"polars==2.1 --hash={DIGESTS[3]}\n"
)


def materials(**identity):
    given = {
        "schema_version": 1,
        "project": "app",
        "version": "1.4.0",
        "commit": "c" * 40,
        "lock_digest": DIGESTS[0],
        "data_through": "2024-04",
        "data_digest": DIGESTS[1],
        "model_digest": DIGESTS[4],
        "served_format": "onnx",
        "served_digest": DIGESTS[5],
        "schema_digest": DIGESTS[6],
        "environment_digest": DIGESTS[7],
        "threshold": 0.5,
    }
    return Materials(
        identity=ReleaseIdentity.model_validate(given | identity),
        committed_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
        bundle_digest=DIGESTS[8],
        requirements=REQUIREMENTS,
        direct=frozenset({"polars"}),
        served_path="models/serving/model.onnx",
        sources=("app", "gitrain"),
    )


def depends(bill, ref):
    return next(each for each in bill["dependencies"] if each["ref"] == ref).get("dependsOn", [])


def test_a_bill_is_valid_and_lists_everything():
    text = bill_of_materials(materials()).decode()
    bill = json.loads(text)
    components = {each["bom-ref"]: each for each in bill["components"]}

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert {each["name"] for each in components.values()} == {
        "app", "gitrain", "numpy", "polars", "models/model.skops", "models/serving/model.onnx"
    }  # fmt: skip
    old = components["pkg:pypi/numpy@2.4"]
    assert old["purl"] == "pkg:pypi/numpy@2.4"
    assert {each["content"] for each in old["hashes"]} == {"1" * 64, "2" * 64}
    assert old["properties"] == [{"name": "gitrain:marker", "value": "python_full_version < '3.12'"}]
    served = f"models/serving/model.onnx@{DIGESTS[5]}"
    assert components[served]["type"] == "machine-learning-model"
    assert depends(bill, "app@1.4.0") == sorted([served, "pkg:pypi/polars@2.1", "src/app", "src/gitrain"])
    assert depends(bill, served) == [f"models/model.skops@{DIGESTS[4]}"]
    assert bill["metadata"]["timestamp"] == "2026-01-01T12:00:00+00:00"


def test_where_the_judged_model_is_served_it_is_there_once():
    bill = json.loads(bill_of_materials(materials(served_format="skops", served_digest=DIGESTS[4])))

    assert [each["name"] for each in bill["components"] if each["type"] == "machine-learning-model"] == [
        "models/serving/model.onnx"
    ]


@pytest.mark.parametrize("version", ["1.4.0", "1.4.1"])
def test_equal_releases_give_equal_bills_and_others_another_serial_number(version):
    first, again = bill_of_materials(materials(version=version)), bill_of_materials(materials(version=version))
    other = bill_of_materials(replace(materials(version=version), bundle_digest=DIGESTS[0]))

    assert first == again
    assert json.loads(first)["serialNumber"] != json.loads(other)["serialNumber"]
