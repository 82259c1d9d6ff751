"""The order of a stream as a pure function: each image once an epoch, exact continuation, any number of workers."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.data.auxiliary.order import Order, order_of
from tests.helpers.streams import row_at
from workloads.errors import UserError

orders = st.builds(
    Order,
    groups=st.lists(st.integers(1, 7), min_size=1, max_size=12).map(tuple),
    seed=st.integers(0, 9),
    lanes=st.integers(1, 6),
    window=st.integers(1, 5),
)


@given(orders)
@settings(max_examples=60, deadline=None)
def test_every_epoch_has_each_image_once(order):
    for epoch in range(3):
        seen = [row_at(order, epoch * order.images + i) for i in range(order.images)]
        assert sorted(seen) == list(range(order.images))


@given(orders, st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_a_lane_continues_where_it_stands(order, position):
    """Walking a lane's windows from its entry gives the lane's later positions, over the ends of epochs."""
    for lane in range(order.lanes):
        round_, done = order.entry(position, lane)
        walked = []
        while len(walked) < 12:
            window = order.at(round_, lane)
            rows = [r for s in order.stretches(window) for r in global_rows(order, s)]
            assert len(rows) == window.rows <= order.padded(round_)
            walked += np.array(rows, dtype=int)[order.within(window)][done:].tolist()
            round_, done = round_ + 1, 0
        first = position + (lane - position) % order.lanes
        assert walked[:12] == [row_at(order, first + i * order.lanes) for i in range(12)]


def global_rows(order, stretch):
    start = sum(order.groups[: stretch.group])
    return range(start + stretch.first, start + stretch.last)


def test_epochs_and_seeds_differ_and_equal_seeds_agree():
    order = order_of([8] * 40, 3072, seed=1, batch=16)
    first = [row_at(order, i) for i in range(order.images)]
    second = [row_at(order, order.images + i) for i in range(order.images)]
    other = order_of([8] * 40, 3072, seed=2, batch=16)
    assert first != second
    assert first != [row_at(other, i) for i in range(other.images)]
    assert first == [row_at(order_of([8] * 40, 3072, seed=1, batch=16), i) for i in range(order.images)]


def test_the_order_is_frozen():
    order = Order(groups=(4, 4, 4, 2), seed=7, lanes=2, window=3)
    assert [row_at(order, i) for i in range(14)] == [5, 7, 6, 9, 4, 8, 10, 1, 12, 13, 11, 0, 2, 3]


@pytest.mark.parametrize(("batch", "lanes"), [(64, 64), (48, 48), (100, 50), (128, 64), (7, 7), (1, 1), (97, 1)])
def test_lanes_divide_the_batch(batch, lanes):
    assert order_of([512] * 100, 3072, seed=0, batch=batch).lanes == lanes


def test_memory_of_a_pool_does_not_grow_with_the_set():
    for images in (10**4, 10**6, 10**8):
        order = order_of([512] * (images // 512), 3072, seed=0, batch=64)
        assert order.lanes * order.window * 3072 <= 96 << 20


def test_a_batch_below_one_is_refused():
    with pytest.raises(UserError, match="batch"):
        order_of([512], 3072, seed=0, batch=0)


def test_sorted_input_comes_out_mixed():
    """Images of one row group spread over the epoch, and a batch holds images of many groups."""
    order = order_of([16] * 256, 3072, seed=0, batch=16, pool_bytes=16 * 64 * 3072)
    rows = np.array([row_at(order, i) for i in range(order.images)])
    ranks = np.corrcoef(rows, np.arange(len(rows)))[0, 1]
    assert abs(ranks) < 0.1
    distinct = [len(Counter(batch // 16)) for batch in rows.reshape(-1, 16)]
    assert np.mean(distinct) > 14
