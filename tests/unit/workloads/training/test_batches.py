"""The order in which images are seen."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.training.batches import batch_rows


@given(st.integers(1, 40), st.integers(1, 100), st.integers(0, 10**6))
@settings(deadline=None, max_examples=60)
def test_every_row_is_seen_equally_often_whatever_the_batch(size, batch, seed) -> None:
    steps = size // math.gcd(size, batch)  # the shortest run of whole batches that ends with an epoch
    rows = torch.cat([batch_rows(seed, step, batch, size) for step in range(steps)])
    assert rows.bincount(minlength=size).unique().tolist() == [steps * batch // size]
    for epoch in rows.split(size):
        assert sorted(epoch.tolist()) == list(range(size))


def test_epochs_and_seeds_have_their_own_order() -> None:
    orders = [tuple(batch_rows(seed, epoch, 50, 50).tolist()) for seed in (0, 1) for epoch in (0, 1)]
    assert len(set(orders)) == 4
