"""A flow of MNIST against Fashion-MNIST, fine-tuned from a flow of grey auxiliary images.

Question:  the grey pair, with MNIST as normal.
Expect:    no table of the paper could be read, only its words: clothes are unlikely for a flow of digits.
Takes:     GPUs: 30 PFLOP an epoch of Tiny Images, 1.2 of CIFAR-10 (`--dry-run` estimates); reduced: hours on two cores.
Data:      in --data-dir or downloaded; tiny_images.bin, or `--auxiliary NAME` (its numbers compare with no paper's).
Command:   python -m orchestrator launch flow_mnist
"""

from tune_spaces.shared.flow_spaces import flow_space
from tune_spaces.shared.pairs import in_out

SPACE = flow_space(in_out("mnist"), fixed={"flip": False})
