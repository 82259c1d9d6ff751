"""Neighbours and Gaussians of random convolutions on scikit-learn's real digits, without any download or training.

Question:  does the whole thread work here, and what do features that nobody has trained say of digits?
Expect:    neighbours and a Gaussian a place ahead of one Gaussian: digits stand in the middle, all alike. Measured in
           docs/patch-memory.md.
Takes:     seconds.
Command:   python -m orchestrator launch patch_digits
"""

from tune_spaces.schema import Data, Scheduler, Search, Space
from tune_spaces.shared.patch_presets import PATCH_PRESETS

SPACE = Space(
    workload="patch_memory",
    data=Data(name="digits", side=16),
    fixed={"features": "random", "smoothing": 1.0},
    axes={"model": ("neighbours", "gaussian", "gaussian_per_place")},
    search=Search(kind="grid"),
    scheduler=Scheduler(kind="fifo"),
    presets=PATCH_PRESETS | {"smoke": PATCH_PRESETS["smoke"].model_copy(update={"classes": ("3", "8")})},
    preset="reduced",
)
