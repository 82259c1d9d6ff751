"""Which learning rate suits detectors on a schedule a hundred times shorter than the published one?

Question:  the reduced preset trains for minutes, so the published rate (itself unknown) does not fit it. Which does?
Expect:    a clear maximum of the contrastive score, which sees no test label, between 1e-3 and 1e-2.
Takes:     about 15 minutes on two CPU cores.
Command:   python -m orchestrator launch calibrate_digits

Measured once, seed 0, two CPU cores: contrastive .731, .820, .924, .966, .901 for the five rates in order, with 20
epochs for detectors and 24 for generators. The reduced preset's rate is this winner. Copy the space to calibrate on
images of your own.
"""

from tune_spaces.no_download.sweep_digits import SPACE as DIGITS
from tune_spaces.schema import Search
from tune_spaces.shared.mlsad_spaces import mlsad_space

SPACE = mlsad_space(
    DIGITS.data,
    DIGITS.presets,
    "reduced",
    fixed=DIGITS.fixed | {"batch_size": 16, "weight_decay": 5e-5, "noise": 0.05},
    axes={"detector_lr": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)},  # a small one may only be slow: compared at the end
    search=Search(kind="grid"),
)
