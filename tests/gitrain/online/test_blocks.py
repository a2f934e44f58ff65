from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st

from gitrain.online.blocks import LARGEST_BLOCK, entries_of, first_moment, found_in, in_blocks

MOMENTS = st.integers(-(2**62), 2**62)
ENTRIES = st.dictionaries(MOMENTS, st.binary(max_size=1200), max_size=40).map(lambda found: sorted(found.items()))
EQUAL = st.lists(MOMENTS, unique=True, min_size=1, max_size=200).map(lambda found: [(at, b"12345678") for at in found])


@given(ENTRIES)
def test_what_is_packed_comes_back(entries):
    moments, records = [at for at, _ in entries], [record for _, record in entries]
    blocks = list(in_blocks(moments, records))
    assert [first for first, _ in blocks] == [first_moment(block) for _, block in blocks]
    assert [entry for _, block in blocks for entry in entries_of(block)] == entries
    for _, block in blocks:
        assert len(block) <= LARGEST_BLOCK or len(list(entries_of(block))) == 1


@given(ENTRIES.filter(bool), MOMENTS)
def test_the_newest_entry_at_a_moment_or_before(entries, moment):
    moments = [at for at, _ in entries]
    blocks = list(in_blocks(moments, [record for _, record in entries]))
    place = bisect_right([first for first, _ in blocks], moment) - 1
    if place < 0:
        assert moment < moments[0]
        return
    at, offset = found_in(blocks[place][1], moment, None)
    wanted, record = entries[bisect_right(moments, moment) - 1]
    assert at == wanted
    assert blocks[place][1][offset:].startswith(record)


@given(EQUAL, MOMENTS)
def test_records_of_one_size_are_found_without_their_ends(entries, moment):
    for _, block in in_blocks(*zip(*sorted(entries), strict=True)):
        if moment >= first_moment(block):
            assert found_in(block, moment, 8) == found_in(block, moment, None)
