"""MLSAD on CIFAR-10 against images of no CIFAR-10 class, level by level: the ablation of Dai et al., Table 4.

Question:  which level finds which kind of stranger, and does their average lose much to the best of them?
Expect:    published at the full schedule, not yet measured here: D_1 perfect on noise (1.000 for all three classes; its
           own fakes are noise, so it has seen the like); the high levels (8, 16) better on semantics, that is the other
           nine classes, and worse on noise; the average of the levels within .06 of the best level in every column
           (the most is .051: dog, SVHN).
Takes:     three classes at the paper's schedule are about 300 PFLOP; `--dry-run` prints the estimate for your machine.
Data:      CIFAR-10 and the out sets, in --data-dir or downloaded; noise is made.
Command:   python -m orchestrator launch ood_cifar10 --preset reduced
"""

from tune_spaces.schema import Data
from tune_spaces.shared.mlsad_spaces import mlsad_space
from tune_spaces.shared.presets import MLSAD_PRESETS

SPACE = mlsad_space(
    Data(name="cifar10", side=32, classes=("dog", "frog", "horse"), out=("cifar100", "svhn", "mnist", "noise")),
    {
        "paper": MLSAD_PRESETS["paper"],
        "reduced": MLSAD_PRESETS["reduced"].model_copy(update={"max_out_images": 2000}),
        "smoke": MLSAD_PRESETS["smoke"].model_copy(update={"classes": ("frog",), "max_out_images": 64}),
    },
)
