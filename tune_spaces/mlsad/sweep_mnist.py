"""MLSAD on MNIST, one digit against the nine others, over the published grid.

Question:  which detector settings does the published grid favour on digits, and how far above simple baselines?
Expect:    unknown. The paper's Table 3 has MNIST's mean AUROC; the number is missing from the text that could be had.
Takes:     at the paper's schedule a trial is about half of one on CIFAR-10: minutes on a large GPU, days on a laptop.
           `--dry-run` prints the estimate for your machine; `--preset reduced` shrinks schedule and widths.
Data:      --data-dir with the four IDX files in MNIST/raw, or torchvision's download (12 MB).
Command:   python -m orchestrator launch sweep_mnist              (32 random points of the 864, ASHA)
           python -m orchestrator launch sweep_mnist --search grid
"""

from tune_spaces.shared.mlsad_spaces import published_sweep
from tune_spaces.shared.presets import SHORTER_PRESETS

SPACE = published_sweep("mnist", SHORTER_PRESETS)
