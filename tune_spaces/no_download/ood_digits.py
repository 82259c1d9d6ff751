"""MLSAD on scikit-learn's real digits against noise, level by level: `ood_cifar10` in small, without any download.

Question:  does the whole thread of out-of-distribution sets work here, and does every level find noise?
Expect:    D_1, whose own fakes are noise, near 1.000; the published table has the high levels worse there.
Takes:     8 minutes on one CPU core by the plan's estimate (reduced preset, the default), not yet measured; one trial,
           its generators shared with those of `sweep_digits` in the same storage.
Command:   python -m orchestrator launch ood_digits
"""

from tune_spaces.no_download.sweep_digits import SPACE as DIGITS
from tune_spaces.schema import Data
from tune_spaces.shared.mlsad_spaces import mlsad_space

# the point of figures_digits, by the contrastive score
POINT = {"batch_size": 16, "weight_decay": 5e-5, "noise": 0.0, "lambda_structure": 0.6, "lambda_position": 0.4}
SPACE = mlsad_space(Data(name="digits", side=16, out=("noise",)), DIGITS.presets, "reduced", fixed=DIGITS.fixed | POINT)
