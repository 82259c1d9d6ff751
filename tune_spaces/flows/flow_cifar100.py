"""A flow of CIFAR-100, fine-tuned from a general flow, against the paper's other datasets.

Question:  what does CIFAR-100's flow say of images that are none, by likelihood, by ratio to a general flow, by its
           final scale alone?
Expect:    no table of the paper could be read, only its words: the likelihood alone is far below chance against SVHN,
           the ratio much higher, and the two flows rank images almost alike (the analysis `correlation`).
Takes:     GPUs: 30 PFLOP an epoch of Tiny Images, 1.2 of CIFAR-10 (`--dry-run` estimates); reduced: hours on two cores.
Data:      in --data-dir or downloaded; tiny_images.bin, or `--auxiliary NAME` (its numbers compare with no paper's).
Command:   python -m orchestrator launch flow_cifar100
"""

from tune_spaces.shared.flow_spaces import flow_space
from tune_spaces.shared.pairs import in_out

SPACE = flow_space(in_out("cifar100"))
