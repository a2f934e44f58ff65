"""Tracking: the record of a run, and the protocol of what keeps such records."""
