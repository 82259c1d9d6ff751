"""The class-conditional flow: one density a class, with the outlier loss.

Question:  what do the labels of the normal images add? Scores marginalise the classes exactly.
Expect:    no table of the paper could be read, only its words: slightly below the best classifiers.
Takes:     GPUs: 30 PFLOP an epoch of Tiny Images, 1.2 of CIFAR-10 (`--dry-run` estimates); reduced: hours on two cores.
Data:      in --data-dir or downloaded; tiny_images.bin, or `--auxiliary NAME` (its numbers compare with no paper's).
Command:   python -m orchestrator launch flow_cifar10_classes
"""

from tune_spaces.shared.flow_spaces import flow_space
from tune_spaces.shared.pairs import in_out

SPACE = flow_space(in_out("cifar10"), fixed={"supervised": True, "outlier_loss": "ratio"})
