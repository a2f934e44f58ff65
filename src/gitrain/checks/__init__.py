"""Checks: what CI asks of the lock, the data, the artifacts, the training and the integration of a pull request."""
