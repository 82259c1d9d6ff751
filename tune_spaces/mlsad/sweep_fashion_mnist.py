"""MLSAD on Fashion-MNIST, one class against the nine others, over the published grid.

Question:  does MLSAD beat simple baselines on grey object images? The paper has no such table.
Expect:    5-nearest-neighbours reach .919 mean AUROC with 2,000 training images a class; aim above it.
Takes:     hours on two CPU cores at the reduced preset for all ten classes; `--class sandal` restricts it.
Data:      Debian's package dataset-fashion-mnist (31 MB), or --data-dir, or torchvision's download.
Command:   python -m orchestrator launch sweep_fashion_mnist --preset reduced
"""

from tune_spaces.schema import Preset
from tune_spaces.shared.mlsad_spaces import published_sweep
from tune_spaces.shared.presets import MLSAD_PRESETS

REDUCED = Preset(
    config=MLSAD_PRESETS["reduced"].config | {"generator_epochs": 2.0, "detector_epochs": 3.0},
    max_train_images=2000,
    points=4,
    first_rung=0.34,
)
SPACE = published_sweep(
    "fashion_mnist",
    {**MLSAD_PRESETS, "reduced": REDUCED},
    "reduced",
    fixed={"grey_as_rgb": False},  # repeated to RGB, half-trained generators give themselves away by colour
)
