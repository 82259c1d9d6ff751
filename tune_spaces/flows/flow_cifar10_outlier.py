"""The outlier loss on auxiliary images, and Hendrycks' margin loss as its baseline.

Question:  does it help to show the flow auxiliary images as what is not normal (w = 6000, T = 1000 nats)?
Expect:    no table of the paper could be read, only its words: the outlier loss is above the plain ratio, and above the
           margin loss.
Takes:     about 30 PFLOP an epoch of the 1.25 million Tiny Images and 1.2 an epoch of CIFAR-10, so GPUs; `--dry-run`
           prints the estimate for your machine, `--preset reduced` is minutes to hours on two cores.
Data:      the datasets in --data-dir or downloaded where their publishers allow it; tiny_images.bin in --data-dir, or
           another auxiliary set by `--auxiliary NAME` (numbers made with another compare with no paper).
Command:   python -m orchestrator launch flow_cifar10_outlier
"""

from tune_spaces.schema import Search
from tune_spaces.shared.flow_spaces import flow_space
from tune_spaces.shared.pairs import in_out

SPACE = flow_space(in_out("cifar10"), axes={"outlier_loss": ("none", "ratio", "margin")}, search=Search(kind="grid"))
