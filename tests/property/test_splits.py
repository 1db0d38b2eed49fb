"""Whatever the places: no two sets, and no fold and what is learnt for it, share a block or a field."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cropcube.errors import InvalidInputError
from cropcube.samples.index import NO_FIELD, SETS
from cropcube.samples.split import LEFT_OUT, apart_from, folds, places, three_sets


@st.composite
def landscapes(draw):
    """Blocks, fields (some unknown) and classes of samples; a field has one class and may reach over many blocks."""
    count, blocks, fields = draw(st.integers(20, 150)), draw(st.integers(5, 20)), draw(st.integers(1, 25))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    field = random.integers(NO_FIELD, fields, count)
    class_of_field = random.integers(1, draw(st.integers(2, 5)), fields + 1)
    home = random.integers(0, blocks, fields + 1)
    reach = draw(st.integers(1, blocks))
    block = (home[field] + random.integers(0, reach, count)) % blocks
    label = np.where(field == NO_FIELD, random.integers(1, 4, count), class_of_field[field])
    return block.astype(np.int64), field.astype(np.int64), label.astype(np.uint8)


def pairs_share(one, other, block, field):
    """Return whether any sample of one and any of the other share a block or a known field: every pair is looked at."""
    return any(
        block[i] == block[j] or (field[i] == field[j] != NO_FIELD)
        for i in np.flatnonzero(one)
        for j in other.nonzero()[0]
    )


@settings(deadline=None, max_examples=80)
@given(landscapes(), st.integers(0, 3))
def test_three_sets_share_neither_block_nor_field(drawn, seed):
    block, field, label = drawn
    try:
        part = three_sets(block, label, seed, field)
    except InvalidInputError:
        return
    assert all((part == number).any() for number in range(len(SETS)))
    for first in range(len(SETS)):
        for second in range(first):
            assert not pairs_share(part == first, part == second, block, field)
    # what is left out is of a field that another set uses
    for number in np.flatnonzero(part == LEFT_OUT):
        assert (field[part != LEFT_OUT] == field[number]).any()


@settings(deadline=None, max_examples=60)
@given(landscapes(), st.integers(2, 5))
def test_no_fold_is_learnt_from_its_own_blocks_or_fields(drawn, count):
    block, field, label = drawn
    if len(np.unique(block)) < count:
        return
    fold_of = folds(block, label, count, 0)
    for fold in range(count):
        held = fold_of == fold
        learnt = apart_from(held, field)
        assert not pairs_share(held, learnt, block, field)
        # nothing else is taken away
        for number in np.flatnonzero(~held & ~learnt):
            assert (field[held] == field[number]).any()


@settings(deadline=None, max_examples=100)
@given(landscapes())
def test_a_class_has_one_place_exactly_where_no_two_of_its_samples_can_be_on_both_sides(drawn):
    block, field, label = drawn
    for number, found in zip(np.unique(label), places(block, field, label), strict=True):
        mine = np.flatnonzero(label == number)
        both = any(
            block[i] != block[j] and (field[i] != field[j] or field[i] == NO_FIELD) for i in mine for j in mine if i < j
        )
        assert both == (found > 1)


@pytest.mark.parametrize("seed", range(5))
def test_a_class_of_a_single_field_over_many_blocks_is_learnt_and_not_tested(seed):
    block = np.repeat(np.arange(16), 10)
    label, field = np.ones(160, np.uint8), np.arange(160)
    label[:50:10], field[:50:10] = 2, 1000  # one field in five blocks
    part = three_sets(block, label, seed, field)
    assert set(part[label == 2].tolist()) <= {0, LEFT_OUT}
    assert (part[label == 2] == 0).any()
    assert (part[label == 1] != LEFT_OUT).all()
