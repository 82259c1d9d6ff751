"""How a launch in this process grows with trials and with classes, and where its seconds go at the largest size.

    python -m pytest tests/benchmarks/test_growth.py -m benchmark

TRIALS (4 16 64 256) and CLASSES (2 10 50 200) set the sizes. Networks are so small that they take next to nothing.
Every class is scored on every test image, so score tables, and what is made of them, grow with the square of the
classes by themselves. An exponent is fitted to every two neighbouring sizes, of seconds of the CPU: what others do
on the machine does not change these by much.
"""

import cProfile
import math
import os
import pstats
import time
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from orchestrator.execution.launch import launch
from orchestrator.record.state import Outcome
from tests.helpers.launches import request_for

pytestmark = pytest.mark.benchmark

TRIALS = [int(word) for word in os.environ.get("TRIALS", "4 16 64 256").split()]
CLASSES = [int(word) for word in os.environ.get("CLASSES", "2 10 50 200").split()]
IMAGES = 8  # of a class: half of them to learn from
SPACE = """
from tune_spaces.schema import Data, Scheduler, Search, Space

SPACE = Space(
    data=Data(name="folder", path={folder!r}, side=16, max_train_images=4),
    fixed={{"levels": (1, 2), "width": 0.0625, "detector_epochs": 1.0, "grey_as_rgb": False}},
    axes={{"weight_decay": tuple(1e-5 * (i + 1) for i in range({trials}))}},
    search=Search(kind="grid"),
    scheduler=Scheduler(kind="fifo"),
)
"""


def measured(folder, trials, classes):
    """(seconds of the CPU, a profile) of a launch of so many trials of so many classes."""
    images = folder / "images"
    for number in range(classes):
        (images / f"class{number:03d}").mkdir(parents=True)
        for i in range(IMAGES):
            pixels = np.random.default_rng(number * IMAGES + i).integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(images / f"class{number:03d}" / f"{i}.png")
    (folder / "growing.py").write_text(SPACE.format(folder=str(images), trials=trials))
    request = request_for(folder, folder / "growing.py", name="growing", executor="local", preset=None)
    profile = cProfile.Profile()
    begun = time.process_time()
    with profile:
        finished = launch(request)
    assert finished.outcome == Outcome.COMPLETE
    return time.process_time() - begun, pstats.Stats(profile)


@pytest.mark.parametrize(("what", "sizes"), [("trials", TRIALS), ("classes", CLASSES)])
def test_print_how_a_launch_grows(what, sizes, tmp_path, capsys):
    seconds = []
    for size in sizes:
        folder = tmp_path / str(size)
        folder.mkdir()
        spent, stats = measured(folder, *((size, 2) if what == "trials" else (1, size)))
        seconds.append(spent)
    exponents = [
        math.log(later / before) / math.log(large / small)
        for (small, large), (before, later) in zip(pairwise(sizes), pairwise(seconds), strict=True)
    ]
    with capsys.disabled():
        print(f"\n{what}, CPU-seconds: " + ", ".join(f"{n}: {s:.1f}" for n, s in zip(sizes, seconds, strict=True)))
        print(f"exponents: {', '.join(f'{exponent:.2f}' for exponent in exponents)}, load {os.getloadavg()[0]:.1f}")
        ours = [(spent, where) for where, (*_, spent, _) in stats.stats.items() if "orchestrator/" in where[0]]
        for spent, (file, line, name) in sorted(ours, reverse=True)[:14]:
            print(f"  {spent:7.2f} s  {file.partition('orchestrator/')[2]}:{line} {name}")
    assert exponents[-1] < 2.5
