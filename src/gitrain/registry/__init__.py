"""The registry: models by name and version."""
