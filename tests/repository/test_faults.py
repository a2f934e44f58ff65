"""docs/faults.md names tests: each of them is there."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.repository

ROOT = Path(__file__).parents[2]


def test_what_is_said_of_faults_is_shown_by_tests_that_exist() -> None:
    text = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    named = re.findall(r"^\* `(tests/\S+\.py)::(test_\w+)`$", text, re.MULTILINE)
    assert len(named) == len(re.findall(r"^\* ", text, re.MULTILINE)) > 30
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert missing == []
