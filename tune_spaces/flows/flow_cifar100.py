"""A flow of CIFAR-100, fine-tuned from a general flow, against the paper's other datasets.

Question:  what does CIFAR-100's flow say of images that are none, by likelihood, by ratio to a general flow, by its
           final scale alone?
Expect:    no table of the paper could be read, only its words: the likelihood alone is far below chance against SVHN,
           the ratio much higher, and the two flows rank images almost alike (the analysis `correlation`).
Takes:     about 30 PFLOP an epoch of the 1.25 million Tiny Images and 1.2 an epoch of CIFAR-10, so GPUs; `--dry-run`
           prints the estimate for your machine, `--preset reduced` is minutes to hours on two cores.
Data:      the datasets in --data-dir or downloaded where their publishers allow it; tiny_images.bin in --data-dir, or
           another auxiliary set by `--auxiliary NAME` (numbers made with another compare with no paper).
Command:   python -m orchestrator launch flow_cifar100
"""

from tune_spaces.shared.flow_spaces import flow_space
from tune_spaces.shared.pairs import in_out

SPACE = flow_space(in_out("cifar100"))
