"""MLSAD on CIFAR-10, one class against the nine others: the grid of Dai et al., Table 10, towards their Table 1.

Question:  which detector settings does the published grid favour, and is the published mean AUROC of .846 reached?
Expect:    .846 mean over the ten classes at the full schedule (published; not yet measured here).
Takes:     one class at the paper's schedule is about 100 PFLOP: minutes on a large GPU, days on a laptop.
           `--dry-run` prints the estimate for your machine; `--preset reduced` shrinks schedule and widths.
Command:   python -m orchestrator launch sweep_cifar10            (32 random points of the 864, ASHA)
           python -m orchestrator launch sweep_cifar10 --search grid
"""

from tune_spaces.shared.mlsad_spaces import published_sweep

SPACE = published_sweep("cifar10")
