"""The general flow alone, as a detector and for all others to start from.

Question:  what does a flow of auxiliary images know before it has seen the dataset? It is left in the storage, where
           flow_cifar10, flow_cifar100 and flow_svhn find it by content: they are tested on the same six sets, whose
           test images are left out of the auxiliary set.
Expect:    that of a likelihood: what is smooth is taken for normal, so SVHN scores below CIFAR-10.
Takes:     GPUs: 30 PFLOP an epoch of Tiny Images, 1.2 of CIFAR-10 (`--dry-run` estimates); reduced: hours on two cores.
Data:      in --data-dir or downloaded; tiny_images.bin, or `--auxiliary NAME` (its numbers compare with no paper's).
Command:   python -m orchestrator launch flow_general
"""

from tune_spaces.schema import Search
from tune_spaces.shared.flow_spaces import flow_space
from tune_spaces.shared.pairs import in_out

SPACE = flow_space(
    in_out("cifar10"),
    fixed={"score": "general_likelihood"},
    axes={"epochs": (0.0,)},  # an axis, for a preset would overrule what is fixed
    search=Search(kind="grid"),
    analyses=("samples", "curves"),
)
