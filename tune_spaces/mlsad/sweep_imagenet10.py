"""MLSAD on ImageNet10, one class against the nine others, over the published grid: Dai et al., Table 2.

Question:  which detector settings does the published grid favour, and is the published mean AUROC of .782 reached?
Expect:    .782 mean over the ten classes at the full schedule (published; not yet measured here).
Takes:     as sweep_cifar10, about a quarter more images a class. `--dry-run` prints the estimate for your machine.
Data:      --data-dir with imagenette2 (or imagenet10): train/ and val/ with one folder a class. That ImageNet10 is
           these ten classes is our reading; the paper numbers them only.
Command:   python -m orchestrator launch sweep_imagenet10         (32 random points of the 864, ASHA)
           python -m orchestrator launch sweep_imagenet10 --search grid
"""

from tune_spaces.shared.mlsad_spaces import published_sweep

SPACE = published_sweep("imagenet10")
