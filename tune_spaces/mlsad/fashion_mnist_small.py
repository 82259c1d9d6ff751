"""MLSAD on Fashion-MNIST shrunk to 16 x 16 pixels: ten one-class problems on a laptop.

Question:  does MLSAD with 2,000 training images a class beat simple baselines on object images within an hour?
Expect:    .938 mean AUROC, beside .935 of nearest neighbours on these pixels (seed 0,
           position=uniform, docs/mlsad.md).
Takes:     about 14 minutes with --workers 2 on two idle CPU cores (reduced preset, the default), one configuration.
Data:      Debian's package dataset-fashion-mnist (31 MB), or --data-dir, or torchvision's download.
Command:   python -m orchestrator launch fashion_mnist_small

A quarter of the pixels is a third of the work or less, so a laptop affords schedules that 32 x 32 (sweep_fashion_mnist,
the paper's size) does not leave time for. Levels go up to half the side, as the paper's do: D_16 would see whole images
here, and the paper drops the detector that does. Half-trained fakes make it worse than useless: on class shirt it gave
the other levels' fakes lower scores than held-out shirts (AUROC .361; G_8 of 225 steps, D_16 of 1,800).
"""

from tune_spaces.schema import Data, Preset
from tune_spaces.shared.mlsad_spaces import mlsad_space
from tune_spaces.shared.presets import MLSAD_PRESETS

REDUCED = Preset(
    config=MLSAD_PRESETS["reduced"].config | {"generator_epochs": 3.0, "detector_epochs": 14.0}, max_train_images=2000
)
SPACE = mlsad_space(
    Data(name="fashion_mnist", side=16),
    {**MLSAD_PRESETS, "reduced": REDUCED},
    "reduced",
    fixed={
        "grey_as_rgb": False,  # repeated to RGB, half-trained generators give themselves away by colour
        "levels": (1, 2, 4, 8),
        "batch_size": 8,
        "weight_decay": 5e-5,
        "noise": 0.0,
        "lambda_structure": 0.6,
        "lambda_position": 1.0,
    },
)
