"""A closer look at MLSAD on two of scikit-learn's digits: generators, position, maps, robustness. No download.

Question:  what do the generators make, what does D_1 know of places, where are the maps high, what fools the detector?
Expect:    at this preset the generators are half trained: a fresh classifier tells G_2's patches in two of three cases
           and G_8's nearly always, so the high levels see poor fakes. Pictures and numbers are in the report.
Takes:     about 3 minutes on two CPU cores.
Command:   python -m orchestrator launch figures_digits
"""

from tune_spaces.no_download.sweep_digits import SPACE as DIGITS
from tune_spaces.schema import Resources
from tune_spaces.shared.mlsad_spaces import mlsad_space

SPACE = mlsad_space(
    DIGITS.data.model_copy(update={"classes": ("3", "8")}),
    DIGITS.presets,
    "reduced",
    fixed=DIGITS.fixed | {"batch_size": 16, "weight_decay": 5e-5, "noise": 0.0},
    resources=Resources(workers=2),
    analyses=("generators", "position", "maps", "fooling"),
)
