from datetime import date

import pytest
import yaml

from gitrain.errors import UsageError
from gitrain.operations.rehearsal.waiver import with_waiver

TODAY = date(2026, 1, 1)
OTHER = "gate: threshold:roc_auc\n{0}  reason: it is what it is\n{0}  expires: 2026-02-01\n"


def waived(text):
    return with_waiver(text, "champion", "it's newer: taken by Ada # 1", today=TODAY)


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("a: 1\ngates:\n  # why\n  champion: {improve: log_loss}\n\nz: 2\n", 0),
        ("gates:\n  champion: {improve: log_loss}\n  waivers:\n    - " + OTHER.format("    ") + "z: 2\n", 1),
        ("gates:\n  waivers:\n  - " + OTHER.format("  ") + "  champion: {improve: log_loss}\n", 1),
        ("gates:  # rules\n  champion: {improve: log_loss}", 0),
    ],
)
def test_one_waiver_is_added_and_nothing_else(text, before):
    found = waived(text)
    document, was = yaml.safe_load(found), yaml.safe_load(text)
    waivers = document["gates"].pop("waivers")
    assert len(waivers) == before + 1
    assert waivers[0] == {
        "gate": "champion",
        "reason": "it's newer: taken by Ada # 1",
        "expires": "2026-01-08",
    }
    assert waivers[1:] == was["gates"].pop("waivers", [])
    assert document == was
    assert set(text.splitlines()) <= set(found.splitlines())


def test_gates_on_one_line_are_told():
    with pytest.raises(UsageError, match="no block `gates:`"):
        waived("gates: {champion: {improve: log_loss}}\n")
