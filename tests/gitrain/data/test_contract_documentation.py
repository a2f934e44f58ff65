"""docs/data-contract.md: its example runs, and it leaves no rule and no part of a contract out."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from gitrain.data.contracts import TableContract
from gitrain.data.validation_report import BatchValidation, Finding, ValidationReport

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs/data-contract.md").read_text(encoding="utf-8")
SOURCES = [
    *(ROOT / "src/gitrain/data").glob("*.py"),
    *(ROOT / "src/gitrain/operations").glob("validate_*.py"),
]


def test_the_example_is_a_contract():
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(example, names)  # noqa: S102  (our own documentation)
    assert isinstance(names["WEATHER"], TableContract)


@pytest.mark.parametrize("part", [field.name for field in fields(TableContract)])
def test_every_part_of_a_contract_is_documented(part):
    assert f"`{part}`" in DOCUMENT


@pytest.mark.parametrize("model", [ValidationReport, BatchValidation, Finding])
def test_every_key_of_the_report_is_documented(model):
    for name in model.model_fields:
        assert re.search(rf"[`.\]]{name}(\[\])?`", DOCUMENT), name


@pytest.mark.repository
def test_every_rule_is_documented():
    source = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    rules = set(re.findall(r'rule="([a-z_]+)"', source)) | set(re.findall(r'_structural\(\s*"([a-z_]+)"', source))
    assert {"rows", "missing_column", "type", "extra_column", "finite"} <= rules
    missing = sorted(rule for rule in rules if f"`{rule}`" not in DOCUMENT)
    assert missing == []
