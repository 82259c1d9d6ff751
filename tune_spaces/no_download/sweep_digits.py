"""MLSAD on scikit-learn's real digits: the default job, without any download.

Question:  does the whole thread work here, and does MLSAD keep up with simple baselines on easy images?
Expect:    a mean AUROC of about .99 over the ten one-class problems, near the .997 of nearest neighbours.
Takes:     about 10 minutes on two CPU cores (reduced preset, the default).
Command:   python -m orchestrator launch sweep_digits

The 1,797 images are 8x8 pixels. They are doubled to 16x16, not to the papers' 32x32: nothing is gained by more
interpolated pixels, and every network costs a quarter. Half of each class trains, the other half of all classes tests.
"""

from tune_spaces.schema import Data, Preset, Scheduler, Search
from tune_spaces.shared.mlsad_spaces import mlsad_space
from tune_spaces.shared.presets import MLSAD_PRESETS

REDUCED = MLSAD_PRESETS["reduced"].config | {"generator_epochs": 20.0, "detector_epochs": 18.0, "bank_size": 1024}
SPACE = mlsad_space(
    Data(name="digits", side=16),
    {
        "paper": MLSAD_PRESETS["paper"],
        "reduced": Preset(config=REDUCED),
        "smoke": MLSAD_PRESETS["smoke"].model_copy(update={"classes": ("3", "8")}),
    },
    "reduced",
    fixed={"grey_as_rgb": False},  # repeated to RGB, half-trained generators give themselves away by colour
    axes={
        "batch_size": (8, 16),
        "weight_decay": (5e-4, 5e-5),
        "noise": (0.0, 0.05),
        "lambda_structure": (0.6, 1.0),
        "lambda_position": (0.4, 0.6),
    },
    search=Search(points=4),
    scheduler=Scheduler(eta=3, first_rung=0.34),
)
