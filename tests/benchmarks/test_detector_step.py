"""What the shortcuts of the detectors' step are worth on this machine: ratios, measured in turn."""

import subprocess
import sys
import time
from statistics import median

import pytest
import torch

from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.contrast import DetectorLearner
from workloads.mlsad.mrf import to_signed
from workloads.mlsad.networks.detector import contrast_loss
from workloads.mlsad.stacked import StackedDetectors
from workloads.training.distributed import Draws, Parallel

pytestmark = pytest.mark.benchmark

CPU = torch.device("cpu")


def learner(level: int) -> DetectorLearner:
    images = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)
    banks = dict.fromkeys((2, 4, 8), images)
    return DetectorLearner(MLSADConfig(width=0.25), level, (images, images), banks, 0, Parallel(), 1000)


def gradients(one: DetectorLearner, shared: bool) -> None:
    """Forward and backward of Eq. 3, the trunk of (x, C) and (x, C~) computed once or twice."""
    x = to_signed(one.train[:16])
    place, other = one.place.expand(8, -1, -1, -1), -one.place.expand(8, -1, -1, -1)
    if shared:
        features = one.net.trunk(x)
        logits = one.net.head(torch.cat([features, features[:8]]), torch.cat([place, place, other]))
    else:
        logits = one.net(torch.cat([x, x[:8]]), torch.cat([place, place, other]))
    torch.autograd.grad(contrast_loss(*logits.chunk(3), 0.6, 0.4), list(one.net.parameters()))


def ratio(first, second, runs: int = 7) -> float:
    """Median over pairs of how much longer `first` takes than `second`."""
    pairs = []
    for _ in range(runs + 1):
        marks = [time.perf_counter()]
        for call in (first, second):
            call()
            marks.append(time.perf_counter())
        pairs.append((marks[1] - marks[0]) / (marks[2] - marks[1]))
    return median(pairs[1:])


@pytest.mark.parametrize("level", [1, 4, 16])
def test_print_what_sharing_the_trunk_and_channels_last_save(level, capsys):
    one, plain = learner(level), learner(level)
    plain.net.to(memory_format=torch.contiguous_format)
    trunk = ratio(lambda: gradients(one, shared=False), lambda: gradients(one, shared=True))
    layout = ratio(lambda: gradients(plain, shared=True), lambda: gradients(one, shared=True))
    with capsys.disabled():
        print(f"\nD_{level}: separate trunks / shared {trunk:.2f}, contiguous / channels_last {layout:.2f}")
    assert trunk > 0
    assert layout > 0


def test_print_what_drawing_dropout_from_sixteen_bits_saves(capsys):
    shape = (8, 3, 32, 32, 32)

    def of_floats() -> None:
        assert (Draws(0, CPU, Parallel()).uniform(shape) < 0.9).any()

    def of_bits() -> None:
        assert Draws(0, CPU, Parallel()).kept(0.9, shape).any()

    with capsys.disabled():
        print(f"\nkeep masks from floats / from 16 bits {ratio(of_floats, of_bits):.2f}")


STEPS = """
import sys, time
import torch
from tests.benchmarks.test_detector_step import learner
from workloads.training.memory import keep_freed_memory
torch.set_flush_denormal(True)
if sys.argv[1] == "kept":
    keep_freed_memory()
one = learner(int(sys.argv[2]))
times = []
for step in range(30):
    begun = time.perf_counter()
    one.step(step, one.train[:8])
    times.append(time.perf_counter() - begun)
print(sorted(times)[15])
"""


@pytest.mark.parametrize("level", [1, 8])
def test_print_what_keeping_freed_memory_saves(level, capsys):
    """A process keeps what it was told, so each way has its own, in turn."""

    def seconds(how: str) -> float:
        return float(subprocess.check_output([sys.executable, "-c", STEPS, how, str(level)], text=True))

    pairs = [(seconds("returned"), seconds("kept")) for _ in range(3)]
    with capsys.disabled():
        print(f"\nD_{level}: a step with freed memory returned / kept {median(a / b for a, b in pairs):.2f}")
    assert all(a > 0 and b > 0 for a, b in pairs)


@pytest.mark.parametrize("level", [1, 8])
@pytest.mark.parametrize("trials", [4, 16])
def test_print_what_stacking_trials_saves(level, trials, capsys):
    alone, together = ([learner(level) for _ in range(trials)] for _ in range(2))
    stack, images = StackedDetectors(together), together[0].train[:8]

    def one_by_one() -> None:
        for one in alone:
            one.step(0, images)

    found = ratio(one_by_one, lambda: stack.step(0, images), runs=3)
    with capsys.disabled():
        print(f"\nD_{level}: {trials} trials one by one / stacked {found:.2f}")
    assert found > 0
