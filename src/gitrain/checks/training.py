"""The training checks by name: what each of them catches."""

from gitrain.checks.catalogue import CheckDefinition

__all__ = [
    "BEATS_BASE_RATE",
    "CHECKS",
    "EXTREME_INPUTS",
    "FINITE",
    "GENERALISATION_GAP",
    "LEAK_ALARM",
    "LOSS_FALLS",
    "OVERFITS_TINY_BATCH",
    "REFIT_IDENTICAL",
    "ROW_PERMUTATION",
    "SANE_ITERATION",
    "SAVE_LOAD",
    "SHUFFLED_LABELS",
]

_GROUP = "training"

LOSS_FALLS = "training:loss-falls"
SANE_ITERATION = "training:sane-iteration"
GENERALISATION_GAP = "training:generalisation-gap"
FINITE = "training:finite"
SAVE_LOAD = "training:save-load"
ROW_PERMUTATION = "training:row-permutation"
EXTREME_INPUTS = "training:extreme-inputs"
BEATS_BASE_RATE = "training:beats-base-rate"
LEAK_ALARM = "training:leak-alarm"
OVERFITS_TINY_BATCH = "training:overfits-tiny-batch"
SHUFFLED_LABELS = "training:shuffled-labels"
REFIT_IDENTICAL = "training:refit-identical"

#: In the order in which they run: what is quick and says much first.
CHECKS = tuple(
    CheckDefinition(name=name, group=_GROUP, catches=catches)
    for name, catches in (
        (FINITE, "NaN or infinity in features, losses, the model's parameters or its predictions"),
        (
            LOSS_FALLS,
            "a training loss without a falling trend: a learning rate that explodes, a fit that learns nothing",
        ),
        (SANE_ITERATION, "a number of iterations that the validation loss does not support: too few, or far too many"),
        (GENERALISATION_GAP, "a model that knows its training rows by heart and does much worse on later ones"),
        (BEATS_BASE_RATE, "a model that is not surely better than always saying the base rate"),
        (LEAK_ALARM, "a score that is too good to be true, of the model or of one feature alone"),
        (SAVE_LOAD, "a model that predicts otherwise once it was stored and loaded, or than its stored predictions"),
        (ROW_PERMUTATION, "a prediction that depends on the order of the rows or on which others are beside it"),
        (
            EXTREME_INPUTS,
            "an error, NaN or something else than a probability for extreme inputs that the contract allows",
        ),
        (
            OVERFITS_TINY_BATCH,
            "a model or preparation that cannot even learn a few rows by heart: a broken fit or encoding",
        ),
        (SHUFFLED_LABELS, "skill that does not come from the labels: outcomes reach the model by another way"),
        (REFIT_IDENTICAL, "randomness without a seed, or a stored model that this code and data do not give"),
    )
)
