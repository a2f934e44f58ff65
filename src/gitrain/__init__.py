"""Gitrain: Git commits and pull requests drive training and promotion of machine-learning models."""

__all__ = ["__version__"]

__version__ = "0.1.0"
