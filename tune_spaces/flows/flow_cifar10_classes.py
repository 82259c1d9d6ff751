"""The class-conditional flow: one density a class, with the outlier loss.

Question:  what do the labels of the normal images add? Scores marginalise the classes exactly.
Expect:    no table of the paper could be read, only its words: slightly below the best classifiers.
Takes:     about 30 PFLOP an epoch of the 1.25 million Tiny Images and 1.2 an epoch of CIFAR-10, so GPUs; `--dry-run`
           prints the estimate for your machine, `--preset reduced` is minutes to hours on two cores.
Data:      the datasets in --data-dir or downloaded where their publishers allow it; tiny_images.bin in --data-dir, or
           another auxiliary set by `--auxiliary NAME` (numbers made with another compare with no paper).
Command:   python -m orchestrator launch flow_cifar10_classes
"""

from tune_spaces.shared.flow_spaces import flow_space
from tune_spaces.shared.pairs import in_out

SPACE = flow_space(in_out("cifar10"), fixed={"supervised": True, "outlier_loss": "ratio"})
