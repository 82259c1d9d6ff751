"""The outlier loss on auxiliary images, and Hendrycks' margin loss as its baseline.

Question:  does it help to show the flow auxiliary images as what is not normal (w = 6000, T = 1000 nats)?
Expect:    no table of the paper could be read, only its words: the outlier loss is above the plain ratio, and above the
           margin loss.
Takes:     GPUs: 30 PFLOP an epoch of Tiny Images, 1.2 of CIFAR-10 (`--dry-run` estimates); reduced: hours on two cores.
Data:      in --data-dir or downloaded; tiny_images.bin, or `--auxiliary NAME` (its numbers compare with no paper's).
Command:   python -m orchestrator launch flow_cifar10_outlier
"""

from tune_spaces.schema import Search
from tune_spaces.shared.flow_spaces import flow_space
from tune_spaces.shared.pairs import in_out

SPACE = flow_space(in_out("cifar10"), axes={"outlier_loss": ("none", "ratio", "margin")}, search=Search(kind="grid"))
