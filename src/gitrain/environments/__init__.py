"""Environments: files that say what is to run where."""
