"""A year of a project lived again, without waiting for it: see `gitrain.operations.replay.year`."""
