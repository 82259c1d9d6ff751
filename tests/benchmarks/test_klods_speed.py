"""What scoring groups in a batch is worth over one group at a time: ratios, measured in turn on this machine."""

import time
from statistics import median

import numpy as np
import pytest
import torch
from scipy import stats

from workloads.klods.config import KlodsConfig
from workloads.klods.groups import partition
from workloads.klods.scoring import group_kl
from workloads.klods.splitting import vectors
from workloads.klods.statistics import god
from workloads.klods.statistics.gaussian import kl_to_standard, moments

pytestmark = pytest.mark.benchmark

LEVEL = torch.randn(4000, 12, 8, 8, generator=torch.Generator().manual_seed(0))


def seconds(call, runs=3):
    """Median over runs, after one that is not counted."""
    call()
    marks = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        marks.append(time.perf_counter() - start)
    return median(marks)


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize("split", ["patches_2", "patches_4", "channels"])
def test_print_groups_per_second_of_kl(split, size, capsys):
    members = torch.from_numpy(partition(len(LEVEL), size, 0, "x"))
    few = members[: len(members) // 8]

    def loop():
        for rows in few:
            kl_to_standard(*moments(vectors(LEVEL[rows].double(), split).flatten(0, 1)))

    one = seconds(loop) / len(few)
    batched = seconds(lambda: group_kl(LEVEL, members, KlodsConfig(split=split))) / len(members)
    with capsys.disabled():
        print(f"\n{split}, groups of {size}: {1 / batched:,.0f} a second, loop / batch {one / batched:.1f}")
    assert batched > 0


def test_print_groups_per_second_of_god(capsys):
    onto = god.directions([LEVEL], 50, 0)
    reference, projected = god.project([LEVEL], onto), god.project([LEVEL], onto)
    ordered = god.sorted_reference(reference)
    members = torch.from_numpy(partition(len(LEVEL), 5, 0, "x"))

    def loop():
        for rows in members[:4]:
            pairs = zip(projected[rows].T.numpy(), reference.T.numpy(), strict=True)
            np.mean([stats.ks_2samp(row, all_, method="asymp").statistic for row, all_ in pairs])

    one = seconds(loop, runs=1) / 4
    batched = seconds(lambda: god.two_sample(projected, members, ordered)) / len(members)
    with capsys.disabled():
        print(f"\nGOD2KS, groups of 5: {1 / batched:,.0f} a second, scipy / batch {one / batched:.0f}")
    assert batched > 0
