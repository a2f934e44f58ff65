"""The command line: parse, call one operation, render. The only place that prints or exits."""

from gitrain.cli.main import main

__all__ = ["main"]
