"""Prove on a project's own data that no feature knows the future, and that the engine computes what is defined."""

from collections.abc import Iterator

from gitrain.errors import UsageError
from gitrain.features.verification import Sample, verify_samples
from gitrain.operations.build_features import partitions_of
from gitrain.operations.stage import Stage
from gitrain.verdicts import Verdict

__all__ = ["verify_features"]

# The oldest batch has no past, the newest no future; those between have both.
_BATCHES = 3
_EARLIER_BATCHES = 2


def verify_features(stage: Stage, *, rows: int, seed: int) -> list[Verdict]:
    """Four verdicts on up to three batches, spread over all that there are; see `features.verification`.

    Args:
        stage: a project whose tables have been validated.
        rows: how many rows are computed by brute force, over all batches.
        seed: of everything random.

    Raises:
        DataError: a validated table is missing or damaged.
        FeatureError: the features cannot be computed from the data as it is.
        UsageError: `rows` is not positive.
    """
    if rows < 1:
        raise UsageError(f"{rows} rows cannot be compared", fix="ask for one row or more.")
    batches = stage.batches
    count = min(_BATCHES, len(batches))
    chosen = sorted({round(number * (len(batches) - 1) / max(count - 1, 1)) for number in range(count)})
    each = -(-rows // len(chosen))
    return verify_samples(stage.project.features, _samples(stage, chosen), rows=each, seed=seed)


def _samples(stage: Stage, chosen: list[int]) -> Iterator[Sample]:
    partitions = partitions_of(stage)
    batches = stage.batches
    for number in chosen:
        batch = batches[number]
        stage.progress(f"features {batch}: scrambling the future, computing row by row")
        needed = partitions.needed(batches[: number + 1], partitions.decisions(batch))
        # The batch after it is the future, and must not matter either.
        follower = batches[number + 1 : number + 2]
        wider = {name: _wider(read, batches, follower) for name, read in needed.items()}
        yield Sample(
            batch=batch,
            entities=partitions.entity_rows(batch, *stage.project.features.entity.key),
            tables=partitions.tables(needed),
            wider=partitions.tables(wider),
        )


def _wider(read: list[str | None], batches: list[str], follower: list[str]) -> list[str | None]:
    first = read[0]
    if first is None:
        return read
    start = batches.index(first)
    return [*batches[max(0, start - _EARLIER_BATCHES) : start], *read, *follower]
