from types import SimpleNamespace
from typing import Any

import pytest

from gitrain.errors import UsageError
from gitrain.release.environment import refuse_differences
from gitrain.release.requirements import parse_requirements

HASH = f"    --hash=sha256:{'0' * 64}"
LOCKED = parse_requirements(
    "\n".join(f"{entry} \\\n{HASH}" for entry in ("polars==2.1.0", "scikit-learn==1.9.0", "numpy==2.4.0"))
    + f"\nnumpy==2.3.0 ; python_version < '3.12' \\\n{HASH}\n"
)
RECORD: Any = SimpleNamespace(python="3.11", identity=SimpleNamespace(version="1.4.0"))
INSTALLED = {"polars": "2.1.0", "scikit-learn": "1.9.0", "numpy": "2.3.0"}


def refuse(python="3.11", **changes) -> None:
    versions = INSTALLED | {name.replace("_", "-"): version for name, version in changes.items()}
    refuse_differences(
        RECORD, LOCKED, names=("numpy", "polars", "Scikit_Learn", "onnxruntime"), python=python, installed=versions.get
    )


def test_equal_versions_pass_and_what_the_bundle_does_not_need_is_passed_over():
    refuse()
    refuse(onnxruntime="7", other="7", numpy="2.4.0")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"python": "3.12"}, "release 1.4.0 was built for Python 3.11, and this is 3.12"),
        ({"polars": "2.2.0"}, "release 1.4.0 was built with polars 2.1.0, and polars 2.2.0 is installed"),
        ({"scikit_learn": None}, "built with scikit-learn 1.9.0, and scikit-learn is not installed"),
        ({"numpy": "2.5.0"}, "built with numpy 2.3.0 or 2.4.0, and numpy 2.5.0 is installed"),
    ],
)
def test_the_first_difference_is_named(changes, message):
    with pytest.raises(UsageError, match=message):
        refuse(**changes)
