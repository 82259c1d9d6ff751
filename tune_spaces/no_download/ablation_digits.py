"""What each part of MLSAD buys, on scikit-learn's digits: entropy term, position pair, single levels. No download.

Question:  how much AUROC do the generators' entropy term and the detectors' position pair add, and does the mean of
           all levels beat the best single one?
Expect:    both terms help, the position pair more; D_8 alone is as good as the mean of all (three seeds are in
           docs/mlsad.md).
Takes:     about 6 minutes on two CPU cores: four trials, two sets of shared generators.
Command:   python -m orchestrator launch ablation_digits --seed 0

The four trials are every combination of the two terms, in one configuration of sweep_digits. lambda_structure is 1
throughout, so that only the pair differs where lambda_position does. The report's section "AUROC per class of
every trial" has the numbers, also of the levels alone.
"""

from tune_spaces.no_download.sweep_digits import SPACE as DIGITS
from tune_spaces.schema import Search
from tune_spaces.shared.mlsad_spaces import mlsad_space

SPACE = mlsad_space(
    DIGITS.data,
    DIGITS.presets,
    "reduced",
    fixed=DIGITS.fixed | {"batch_size": 8, "weight_decay": 5e-5, "noise": 0.0, "lambda_structure": 1.0},
    axes={"lambda_position": (0.4, 0.0), "lambda_entropy": (1.0, 0.0)},
    search=Search(kind="grid"),
)
