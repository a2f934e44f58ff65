"""What users import in their tests: the checks, strategies for hypothesis, fakes, conformance suites.

This module loads pytest alone; `strategies`, `fakes` and `conformance` are imported by who uses them.
"""

from gitrain.testing.checks import parametrize_with_checks

__all__ = ["parametrize_with_checks"]
