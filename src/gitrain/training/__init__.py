"""Training: estimators, the split in time, fitting with its loss curve, and what a stored model says of itself."""
