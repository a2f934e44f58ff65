"""Evaluation: scoring the holdout, metrics with intervals over whole units, slices, calibration and curves."""
