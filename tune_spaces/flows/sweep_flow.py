"""Which flow, and which outlier loss: rate, depth, width, weight and temperature.

Question:  what do the keys that the paper fixes, or varies without a table that could be read, do? Depth and width get
           a general flow of their own each.
Expect:    deeper and wider flows have lower bits/dim; whether they detect better is the question.
Takes:     GPUs: 30 PFLOP an epoch of Tiny Images, 1.2 of CIFAR-10 (`--dry-run` estimates); reduced: hours on two cores.
Data:      in --data-dir or downloaded; tiny_images.bin, or `--auxiliary NAME` (its numbers compare with no paper's).
Command:   python -m orchestrator launch sweep_flow --points 8
"""

from tune_spaces.schema import Search, Space
from tune_spaces.shared.pairs import in_out
from tune_spaces.shared.presets import FLOW_PRESETS

SPACE = Space(
    workload="flow",
    data=in_out("cifar10"),
    fixed={"outlier_loss": "ratio"},
    axes={
        "lr": (2.5e-4, 5e-4, 1e-3),
        "steps": (16, 32),
        "hidden": (256, 512),
        "outlier_weight": (600.0, 6000.0),
        "outlier_temperature": (100.0, 1000.0),
    },
    search=Search(points=16),
    presets=FLOW_PRESETS,
)
