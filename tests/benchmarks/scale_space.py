"""A sweep whose size the environment sets: TRIALS and SIDE.

Question:  how does a launch grow with trials and with the images' side?
Expect:    start-up, then linear.
Takes:     a minute or two on two CPU cores.
Command:   TRIALS=4 SIDE=16 python -m orchestrator launch tests/benchmarks/scale_space.py
"""

import os

from tune_spaces.schema import Data, Scheduler, Search, Space
from tune_spaces.shared.presets import MLSAD_PRESETS

SPACE = Space(
    workload="mlsad",
    data=Data(name="digits", side=int(os.environ.get("SIDE", "16"))),
    fixed={"grey_as_rgb": False, "batch_size": 8},
    axes={"weight_decay": tuple(1e-5 * (i + 1) for i in range(int(os.environ.get("TRIALS", "4"))))},
    search=Search(kind="grid"),
    scheduler=Scheduler(kind="fifo"),
    presets={"smoke": MLSAD_PRESETS["smoke"].model_copy(update={"classes": ("3", "8")})},
    preset="smoke",
)
