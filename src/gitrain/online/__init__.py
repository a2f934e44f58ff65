"""The online side of the feature store: the same features as in training, for one row at a time."""
