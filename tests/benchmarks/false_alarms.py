"""The false-alarm rate that a threshold promises beside the one got on fresh normal images, over many splits.

    python tests/benchmarks/false_alarms.py DATA_DIR              # holds fashion_mnist, see `data ls`
    python tests/benchmarks/false_alarms.py DATA_DIR --default    # the patch memory as it is without any key

A split takes some normal images of one class of Fashion-MNIST at 16 x 16, and fresh ones of the class. `cross` fits
on all of the first, and thresholds rest on five fits' scores; `apart` fits on four fifths of them, and thresholds rest
on the last. Both by `workloads.training.fitted` and `workloads.scoring.thresholds`. `--default` takes fewer images, is
of `cross` alone, and prints each split as it ends.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from workloads.data.datasets import load
from workloads.data.protocols import resized
from workloads.patch_memory.features import Features
from workloads.patch_memory.method import PatchMemory
from workloads.scoring.thresholds import HeldOut
from workloads.training.fitted import Fit
from workloads.units import Unit

CLASS, SIDE, SPLITS, RATES = "sandal", 16, 20, (0.01, 0.05, 0.1)


@dataclass(frozen=True)
class Setting:
    normals: int
    fresh: int
    apart: bool
    config: dict


CHEAP = Setting(500, 1500, True, {"features": "random", "model": "gaussian"})
DEFAULT = Setting(100, 1000, False, {})


def split_rates(setting: Setting, images: torch.Tensor, seed: int) -> dict[tuple[str, float], tuple[float, bool]]:
    """(way, rate) -> (rate got on the fresh images, whether it lies in the interval)."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(images)))
    normals, fresh = images[order].split([setting.normals, len(images) - setting.normals])
    fresh = fresh[: setting.fresh]
    unit, method = Unit("detector", CLASS, "whole"), PatchMemory(PatchMemory.Config(**setting.config, seed=seed))
    whole = Fit(method, torch.device("cpu"), unit, normals)
    ways = {"cross": (whole, HeldOut(whole.cross_scores()["score"]))}
    if setting.apart:
        part, rest = normals.split([kept := setting.normals * 4 // 5, setting.normals - kept])
        fit = Fit(method, torch.device("cpu"), unit, part)
        ways["apart"] = (fit, HeldOut(fit.score(rest)["score"]))
    got = {}
    for way, (fit, held_out) in ways.items():
        scores = fit.score(fresh)["score"]
        for rate in RATES:
            threshold = held_out.threshold(rate)
            alarms = float((scores > threshold.value).mean())
            got[way, rate] = alarms, threshold.low <= alarms <= threshold.high
    return got


def remembered() -> None:
    """Features of an image are worked out once: all splits draw from the same images."""
    known, compute = {}, Features.of

    def of(self: Features, images: torch.Tensor) -> torch.Tensor:
        keys = [image.numpy().tobytes() for image in images]
        new = [number for number, key in enumerate(keys) if key not in known]
        if new:
            known.update(zip([keys[number] for number in new], compute(self, images[new]), strict=True))
        return torch.stack([known[key] for key in keys])

    Features.of = of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--default", action="store_true")
    arguments = parser.parse_args()
    setting = DEFAULT if arguments.default else CHEAP
    torch.set_num_threads(1)
    remembered()
    dataset, begun = load("fashion_mnist", arguments.data_dir, download=False), time.process_time()
    label = dataset.classes.index(CLASS)
    parts = [resized(part.take(part.labels == label), SIDE).images for part in (dataset.train, dataset.test)]
    images = torch.from_numpy(np.concatenate(parts))
    rows = []
    for seed in range(SPLITS):
        rows.append(split_rates(setting, images, seed))
        if arguments.default:
            print(seed, rows[-1], f"{time.process_time() - begun:.0f} CPU-seconds", flush=True)
    print(f"{CLASS}: {setting.normals} normals, {setting.fresh} fresh, {SPLITS} splits")
    print("| way | promised | got, mean | least | most | splits whose interval holds it |")
    print("|---|---:|---:|---:|---:|---:|")
    for way, rate in rows[0]:
        got = np.array([row[way, rate][0] for row in rows])
        inside = sum(row[way, rate][1] for row in rows)
        print(f"| {way} | {rate:.0%} | {got.mean():.2%} | {got.min():.2%} | {got.max():.2%} | {inside} of {SPLITS} |")
    print(f"{time.process_time() - begun:.0f} CPU-seconds")


if __name__ == "__main__":
    main()
