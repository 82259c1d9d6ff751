"""What checkpointing the coupling networks saves in memory and costs in time, in a training step of a Glow.

On a GPU the published network at the published batch; on a CPU a smaller one, so that it takes a minute.
"""

import multiprocessing
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest
import torch
from torch import Tensor

from workloads.flows.architecture import Architecture
from workloads.flows.networks.build import build
from workloads.flows.networks.flow import Flow

pytestmark = pytest.mark.benchmark

CUDA = torch.cuda.is_available()
PUBLISHED = Architecture("glow", 3, 32)
A, BATCH = (PUBLISHED, 64) if CUDA else (replace(PUBLISHED, steps=8, hidden=256), 32)
STATUS = Path("/proc/self/status")
MIB = 2**20


def made(checkpointing: bool) -> tuple[Flow, Tensor]:
    torch.manual_seed(0)
    net, x = build(replace(A, checkpointing=checkpointing)), torch.rand(BATCH, 3, 32, 32) - 0.5
    if CUDA:
        net, x = net.cuda(), x.cuda()
    net.initialise(x[:4])  # few images, for this pass must not set the peak
    return net, x


def step(net: Flow, x: Tensor) -> None:
    net.zero_grad()
    (-net(x).log_prob.mean()).backward()
    if CUDA:
        torch.cuda.synchronize()


def peak() -> float:
    """Most memory held so far, in MiB. Not ru_maxrss, which a child process inherits from its parent."""
    if CUDA:
        return torch.cuda.max_memory_allocated() / MIB
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def memory_of_a_step(checkpointing: bool) -> float:
    """MiB that a step of a whole batch needs beyond one of two images (network, gradients, torch's own first uses)."""
    net, x = made(checkpointing)
    step(net, x[:2])
    before = peak()
    step(net, x)
    return peak() - before


def in_a_fresh_process(checkpointing: bool) -> float:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(memory_of_a_step, (checkpointing,))


@pytest.mark.skipif(not CUDA and not STATUS.exists(), reason="reads the peak from /proc")
def test_print_the_memory_of_a_step_with_and_without_checkpointing(capsys):
    plain, saving = in_a_fresh_process(checkpointing=False), in_a_fresh_process(checkpointing=True)
    with capsys.disabled():
        print(f"\n{A.steps} steps a scale, width {A.hidden}, batch {BATCH}: a step needs {plain:.0f} MiB,", end=" ")
        print(f"checkpointed {saving:.0f} MiB, plain / checkpointed {plain / saving:.1f}")
    assert saving < plain


def test_print_the_speed_of_a_step_with_and_without_checkpointing(capsys):
    nets = [made(checkpointing) for checkpointing in (False, True)]
    times: list[list[float]] = []
    for _ in range(5):
        marks = [time.perf_counter()]
        for net, x in nets:
            step(net, x)
            marks.append(time.perf_counter())
        times.append([marks[1] - marks[0], marks[2] - marks[1]])
    plain, saving = (BATCH / median(column) for column in zip(*times[1:], strict=True))
    ratio = median(second / first for first, second in times[1:])
    with capsys.disabled():
        print(f"\nplain {plain:.1f} images/s, checkpointed {saving:.1f}, time checkpointed / plain {ratio:.2f}")
    assert ratio > 0
