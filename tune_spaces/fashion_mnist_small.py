"""MLSAD on Fashion-MNIST shrunk to 16 x 16 pixels: ten one-class problems on a laptop.

Question:  does MLSAD, with all its levels and 2,000 training images a class, beat simple baselines within an hour?
Expect:    5-nearest-neighbours reach .919 mean AUROC on 28 x 28 pixels; the report has them at 16 x 16 beside it.
Takes:     about 20 minutes on two idle CPU cores (reduced preset, the default), one configuration.
Data:      Debian's package dataset-fashion-mnist (31 MB), or --data-dir, or torchvision's download.
Command:   python -m orchestrator launch fashion_mnist_small

A quarter of the pixels is a third of the work or less, so a laptop affords schedules that 32 x 32 (sweep_fashion_mnist,
the papers' size) does not leave time for. Levels mean more here: an 8 x 8 window is a quarter of the garment, and D_16
sees it whole.
"""

from tune_spaces.presets import MLSAD_PRESETS
from tune_spaces.schema import Data, Preset, Scheduler, Space

SPACE = Space(
    workload="mlsad",
    data=Data(name="fashion_mnist", side=16),
    fixed={
        "grey_as_rgb": False,  # repeated to RGB, half-trained generators give themselves away by colour
        "batch_size": 8,
        "weight_decay": 5e-5,
        "noise": 0.0,
        "lambda_structure": 0.6,
        "lambda_position": 0.4,
    },
    scheduler=Scheduler(kind="fifo"),
    presets={
        **MLSAD_PRESETS,
        "reduced": Preset(
            config=MLSAD_PRESETS["reduced"].config | {"generator_epochs": 2.0, "detector_epochs": 4.0},
            max_train_images=2000,
        ),
    },
    preset="reduced",
)
