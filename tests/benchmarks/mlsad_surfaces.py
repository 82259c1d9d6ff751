"""What MLSAD reaches on the surfaces of `surfaces.py` when its training may take so many minutes of two cores.

    python tests/benchmarks/mlsad_surfaces.py SURFACES [NAME ...] --minutes 10 > rows.jsonl

It is `own_mlsad` at the reduced preset: windows of 64 x 64 at native resolution, the peak of a smoothed map. A budget
is `minutes` x 2 x 60 CPU-seconds of training, on one thread. Two fits of a few steps say what a step and what the rest
costs; the numbers of steps are what fills the budget, in the ratio of the template. A line of JSON a surface: the
measures of `surfaces_table.py`, and what training and scoring took.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from surfaces_table import areas, photographs

import workloads
from tune_spaces.own_images.own_mlsad import SPACE
from workloads.data.conform import windowed
from workloads.data.windows import Form

CONFIG = SPACE.presets["reduced"].config | SPACE.fixed
STEPS = {key: CONFIG[key] for key in ("generator_steps", "detector_steps")}
SHORT, LONGER = 0.004, 0.012
"""Of the template's steps: the two fits that a budget is calibrated by."""


def fitted(windows, share):
    """(detector, CPU-seconds) of a fit by a share of the template's steps."""
    begun = time.process_time()
    config = CONFIG | {key: round(count * share) for key, count in STEPS.items()}
    return workloads.fit("mlsad", windows, config, validation=windows[:2], device="cpu"), time.process_time() - begun


def measured(folder, budget):
    torch.manual_seed(0)
    normal, tested, kinds, masks = photographs(folder)
    form = Form(SPACE.data.side, SPACE.data.side, "tiles")
    rows = normal.transpose(0, 3, 1, 2)
    windows = np.concatenate([windowed(image, form).windows for image in rows]).transpose(0, 2, 3, 1)
    short, longer = (fitted(windows, share)[1] for share in (SHORT, LONGER))
    share = SHORT + (budget - short) * (LONGER - SHORT) / (longer - short)
    detector, training = fitted(windows, share)
    begun = time.process_time()
    inspected = list(replace(detector, fit="tiles").inspect(tested, maps=True))
    scoring = time.process_time() - begun
    scores, maps = np.array([item.score for item in inspected]), np.stack([item.map for item in inspected])
    steps = {key: round(count * share) for key, count in STEPS.items()}
    times = {"training_cpu_s": training, "scoring_cpu_s": scoring}
    return {"surface": folder.name} | areas(scores, maps, kinds, masks) | times | steps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("surfaces", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--minutes", type=float, default=10.0, help="of two cores")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.names or sorted(folder.name for folder in arguments.surfaces.iterdir()):
        row = measured(arguments.surfaces / name, arguments.minutes * 2 * 60)
        print(json.dumps(row | {"minutes": arguments.minutes}), flush=True)


if __name__ == "__main__":
    main()
