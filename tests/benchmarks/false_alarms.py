"""The false-alarm rate that a threshold promises beside the one got on fresh normal images, over many splits.

    python tests/benchmarks/false_alarms.py DATA_DIR        # holds fashion_mnist, see `data ls`

A split takes `NORMALS` images of one class of Fashion-MNIST at 16 x 16, and `FRESH` others of the class. `cross` fits
on all of the first, and thresholds rest on five fits' scores; `apart` fits on four fifths of them, and thresholds rest
on the last. Both by `workloads.training.fitted` and `workloads.scoring.thresholds`.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch

from workloads.data.datasets import load
from workloads.data.protocols import resized
from workloads.patch_memory.method import PatchMemory
from workloads.scoring.thresholds import HeldOut
from workloads.training.fitted import Fit
from workloads.units import Unit

CLASS, SIDE, NORMALS, FRESH, SPLITS, RATES = "sandal", 16, 500, 1500, 20, (0.01, 0.05, 0.1)
CONFIG = {"features": "random", "model": "gaussian"}


def split_rates(images: torch.Tensor, seed: int) -> dict[tuple[str, float], tuple[float, bool]]:
    """(way, rate) -> (rate got on the fresh images, whether it lies in the interval)."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(images)))
    normals, fresh = images[order[:NORMALS]], images[order[NORMALS : NORMALS + FRESH]]
    unit, method = Unit("detector", CLASS, "whole"), PatchMemory(PatchMemory.Config(**CONFIG, seed=seed))
    kept = NORMALS * 4 // 5
    whole, part = (Fit(method, torch.device("cpu"), unit, rows) for rows in (normals, normals[:kept]))
    ways = {
        "cross": (whole, HeldOut(whole.cross_scores(np.arange(NORMALS))["score"])),
        "apart": (part, HeldOut(part.score(normals[kept:])["score"])),
    }
    got = {}
    for way, (fit, held_out) in ways.items():
        scores = fit.score(fresh)["score"]
        for rate in RATES:
            threshold = held_out.threshold(rate)
            alarms = float((scores > threshold.value).mean())
            got[way, rate] = alarms, threshold.low <= alarms <= threshold.high
    return got


def main() -> None:
    torch.set_num_threads(1)
    dataset, begun = load("fashion_mnist", Path(sys.argv[1]), download=False), time.process_time()
    label = dataset.classes.index(CLASS)
    parts = [resized(part.take(part.labels == label), SIDE).images for part in (dataset.train, dataset.test)]
    images = torch.from_numpy(np.concatenate(parts))
    rows = [split_rates(images, seed) for seed in range(SPLITS)]
    print(f"{CLASS}: {NORMALS} normals, {FRESH} fresh, {SPLITS} splits")
    print("| way | promised | got, mean | least | most | splits whose interval holds it |")
    print("|---|---:|---:|---:|---:|---:|")
    for way, rate in rows[0]:
        got = np.array([row[way, rate][0] for row in rows])
        inside = sum(row[way, rate][1] for row in rows)
        print(f"| {way} | {rate:.0%} | {got.mean():.2%} | {got.min():.2%} | {got.max():.2%} | {inside} of {SPLITS} |")
    print(f"{time.process_time() - begun:.0f} CPU-seconds")


if __name__ == "__main__":
    main()
