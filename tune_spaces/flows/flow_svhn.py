"""A flow of SVHN, fine-tuned from a general flow, against the paper's other datasets.

Question:  the reverse of flow_cifar10: are natural photographs outliers to a flow of house numbers?
Expect:    no table of the paper could be read, only its words: against SVHN the others are found by the likelihood
           alone; the ratio costs little.
Takes:     GPUs: 30 PFLOP an epoch of Tiny Images, 1.2 of CIFAR-10 (`--dry-run` estimates); reduced: hours on two cores.
Data:      in --data-dir or downloaded; tiny_images.bin, or `--auxiliary NAME` (its numbers compare with no paper's).
Command:   python -m orchestrator launch flow_svhn
"""

from tune_spaces.shared.flow_spaces import flow_space
from tune_spaces.shared.pairs import in_out

SPACE = flow_space(in_out("svhn"), fixed={"flip": False})
