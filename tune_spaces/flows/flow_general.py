"""The general flow alone, as a detector and for all others to start from.

Question:  what does a flow of auxiliary images know before it has seen the dataset? It is left in the storage, where
           flow_cifar10 and the others find it by content.
Expect:    that of a likelihood: what is smooth is taken for normal, so SVHN scores below CIFAR-10.
Takes:     about 30 PFLOP an epoch of the 1.25 million Tiny Images and 1.2 an epoch of CIFAR-10, so GPUs; `--dry-run`
           prints the estimate for your machine, `--preset reduced` is minutes to hours on two cores.
Data:      the datasets in --data-dir or downloaded where their publishers allow it; tiny_images.bin in --data-dir, or
           another auxiliary set by `--auxiliary NAME` (numbers made with another compare with no paper).
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
