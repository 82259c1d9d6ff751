"""The outlier loss on general images, and Hendrycks' margin loss as its baseline.

Question:  does it help to show the flow general images as what is not normal (w = 6000, T = 1000 nats)?
Expect:    no table of the paper could be read, only its words: the outlier loss is above the plain ratio, and above the
           margin loss.
Takes:     about 30 PFLOP an epoch of the 1.25 million Tiny Images and 1.2 an epoch of CIFAR-10, so GPUs; `--dry-run`
           prints the estimate for your machine, `--preset reduced` is minutes to hours on two cores.
Data:      the datasets in --data-dir or downloaded where their publishers allow it; tiny_images.bin in --data-dir, or
           another general set by `--general NAME` (numbers made with another compare with no paper).
Command:   python -m orchestrator launch flow_cifar10_outlier
"""

from tune_spaces.schema import Scheduler, Search, Space
from tune_spaces.shared.pairs import in_out
from tune_spaces.shared.presets import FLOW_PRESETS

SPACE = Space(
    workload="flow",
    data=in_out("cifar10"),
    axes={"outlier_loss": ("none", "ratio", "margin")},
    search=Search(kind="grid"),
    scheduler=Scheduler(kind="fifo"),
    analyses=("correlation", "samples", "curves"),
    presets=FLOW_PRESETS,
)
