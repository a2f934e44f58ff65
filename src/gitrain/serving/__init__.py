"""Serving: from a request to a prediction, the same in a service and over a file."""
