"""Monitoring: what predictions in service are worth, and whether that has changed."""
