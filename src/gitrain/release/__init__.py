"""Releases: what was built once from a commit, and can be verified for ever."""
