"""Probes: checks of a running service."""
