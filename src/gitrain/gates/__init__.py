"""Gates: rules that a model has to pass, as pure functions from values to verdicts."""
