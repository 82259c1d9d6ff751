"""MLSAD on MNIST with and without the position pair: the ablation of Dai et al., Table 3, and of their appendix B.

Question:  what do the coordinates buy? lambda_position 0.4 against 0: without the pair nothing says what belongs where.
Expect:    both good, the pair better (the paper's words; its numbers are missing from the text that could be had).
           D_1's map of a white image resembles 1 - the mean digit with the pair; the analysis looks at the winner,
           figures_mnist at either.
Takes:     two trials of ten classes and their shared generators, both trained to the end. `--dry-run` prints the
           estimate for your machine; `--preset reduced --class 7` is appendix B's digit on a laptop.
Data:      --data-dir with the four IDX files in MNIST/raw, or torchvision's download (12 MB).
Command:   python -m orchestrator launch ablation_position_mnist

The report's table "AUROC per class of every trial" has both. The paper most likely sets lambda_structure to 1 where it
sets lambda_position to 0. Axes are a product and cannot tie one key to another, so lambda_structure is 1 in both
trials: only the position pair differs between them.
"""

from tune_spaces.schema import Data, Search
from tune_spaces.shared.mlsad_spaces import mlsad_space
from tune_spaces.shared.presets import SHORTER_PRESETS

SPACE = mlsad_space(
    Data(name="mnist", side=32),
    SHORTER_PRESETS,
    fixed={"lambda_structure": 1.0},
    axes={"lambda_position": (0.4, 0.0)},
    search=Search(kind="grid"),
    analyses=("position",),
)
