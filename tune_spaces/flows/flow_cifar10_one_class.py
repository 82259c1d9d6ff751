"""Flows of one CIFAR-10 class each, against the other nine.

Question:  what is the AUROC of flows in the protocol of the one-class papers, class by class, beside MLSAD's?
Expect:    not in the paper. Low: one class's images are of the same kind as the others'.
Takes:     about 30 PFLOP an epoch of the 1.25 million Tiny Images and 1.2 an epoch of CIFAR-10, so GPUs; `--dry-run`
           prints the estimate for your machine, `--preset reduced` is minutes to hours on two cores.
Data:      the datasets in --data-dir or downloaded where their publishers allow it; tiny_images.bin in --data-dir, or
           another auxiliary set by `--auxiliary NAME` (numbers made with another compare with no paper).
Command:   python -m orchestrator launch flow_cifar10_one_class
"""

from tune_spaces.schema import Data
from tune_spaces.shared.flow_spaces import flow_space
from tune_spaces.shared.pairs import TINY_IMAGES

SPACE = flow_space(Data(name="cifar10", side=32, auxiliary=(TINY_IMAGES,)))
