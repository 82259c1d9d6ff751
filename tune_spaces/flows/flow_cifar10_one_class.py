"""Flows of one CIFAR-10 class each, against the other nine.

Question:  what is the AUROC of flows in the protocol of the one-class papers, class by class, beside MLSAD's?
Expect:    not in the paper. Low: one class's images are of the same kind as the others'.
Takes:     GPUs: 30 PFLOP an epoch of Tiny Images, 1.2 of CIFAR-10 (`--dry-run` estimates); reduced: hours on two cores.
Data:      in --data-dir or downloaded; tiny_images.bin, or `--auxiliary NAME` (its numbers compare with no paper's).
Command:   python -m orchestrator launch flow_cifar10_one_class
"""

from tune_spaces.schema import Data
from tune_spaces.shared.flow_spaces import flow_space
from tune_spaces.shared.pairs import TINY_IMAGES

SPACE = flow_space(Data(name="cifar10", side=32, auxiliary=(TINY_IMAGES,)))
