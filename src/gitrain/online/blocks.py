"""Blocks: what an online store keeps of one group's past, some moments at a time.

A block holds moments in ascending order, and for each of them a record: what was known from then on. Which record holds
at a given moment is found by one search in the store, for the last block that begins at it or before, and one in the
block. Moments are microseconds since 1970, UTC.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cache

__all__ = ["LARGEST_BLOCK", "MOMENTS_OF", "entries_of", "first_moment", "found_in", "in_blocks"]

#: Bytes. SQLite keeps a row of up to a quarter of a page in its tree; a larger one costs another read.
LARGEST_BLOCK = 900
_COUNT = struct.Struct("<H")
_FIRST = struct.Struct("<q")
_END = struct.Struct("<I")
_OVERHEAD = _FIRST.size + _END.size


#: By the number of a block's entries, what unpacks its moments, from the third byte on.
MOMENTS_OF = [struct.Struct(f"<{count}q").unpack_from for count in range(LARGEST_BLOCK // _OVERHEAD + 2)]


@cache
def _heads(count: int) -> struct.Struct:
    return struct.Struct(f"<H{count}q{count}I")


def in_blocks(moments: Sequence[int], records: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """Pack moments, in ascending order, with their records; gives each block's first moment and its bytes."""
    start, size = 0, _COUNT.size
    for place, record in enumerate(records):
        size += _OVERHEAD + len(record)
        if place > start and size > LARGEST_BLOCK:
            yield _block(moments[start:place], records[start:place])
            start, size = place, _COUNT.size + _OVERHEAD + len(record)
    if start < len(moments):
        yield _block(moments[start:], records[start:])


def _block(moments: Sequence[int], records: Sequence[bytes]) -> tuple[int, bytes]:
    ends, end = [], 0
    for record in records:
        end += len(record)
        ends.append(end)
    head = _heads(len(moments)).pack(len(moments), *moments, *ends)
    return moments[0], b"".join((head, *records))


def first_moment(block: bytes) -> int:
    """The moment that a block begins at."""
    first: int = _FIRST.unpack_from(block, _COUNT.size)[0]
    return first


def found_in(block: bytes, moment: int, size: int | None) -> tuple[int, int]:
    """The newest entry of a block at `moment` or before, where the block begins no later.

    Args:
        block: the block.
        moment: microseconds since 1970, UTC.
        size: of each record, where all have one.

    Returns:
        When it became known, and where in the block its record begins.
    """
    count = block[0] | block[1] << 8
    moments = MOMENTS_OF[count](block, 2)
    place = bisect_right(moments, moment) - 1
    records = 2 + 12 * count
    if size is not None:
        return moments[place], records + size * place
    if place:
        records += _END.unpack_from(block, 2 + 8 * count + 4 * (place - 1))[0]
    return moments[place], records


def entries_of(block: bytes) -> Iterator[tuple[int, bytes]]:
    """All entries of a block: the moments and the records."""
    count: int = _COUNT.unpack_from(block)[0]
    head = _heads(count)
    _, *numbers = head.unpack_from(block)
    start = 0
    for moment, end in zip(numbers[:count], numbers[count:], strict=True):
        yield moment, block[head.size + start : head.size + end]
        start = end
