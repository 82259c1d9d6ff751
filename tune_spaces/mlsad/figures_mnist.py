"""What the position pair teaches D_1 on MNIST's sevens: Dai et al., appendix B.

Question:  does D_1's map of an all-white image resemble 1 - the mean seven with the position pair, and not without?
Expect:    published as pictures; the correlations and spreads beside them are ours.
Takes:     one digit, one network, no generator: minutes on a GPU, an hour or so on a laptop; `--preset reduced`.
Data:      --data-dir with the four IDX files in MNIST/raw, or torchvision's download (12 MB).
Command:   python -m orchestrator launch figures_mnist
           python -m orchestrator launch figures_mnist --set lambda_position=0      (without the pair)
"""

from tune_spaces.schema import Data
from tune_spaces.shared.mlsad_spaces import mlsad_space
from tune_spaces.shared.presets import SHORTER_PRESETS

SPACE = mlsad_space(
    Data(name="mnist", side=32, classes=("7",)),
    SHORTER_PRESETS,
    fixed={"levels": (1,), "lambda_structure": 1.0},  # as ablation_position_mnist
    analyses=("position",),
)
