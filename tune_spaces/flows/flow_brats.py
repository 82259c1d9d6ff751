"""A flow of brain slices of one MRI modality, against the other modalities.

Question:  does the hierarchy of natural images help with medical ones?
Expect:    as found: no number of the paper could be read, and which sets it takes for outliers is our choice.
Takes:     GPUs: 30 PFLOP an epoch of Tiny Images, 1.2 of CIFAR-10 (`--dry-run` estimates); reduced: hours on two cores.
Data:      BraTS 2018 slices as image files under brats/ in --data-dir (see `spaces show`); tiny_images.bin, or
           `--auxiliary NAME`.
Command:   python -m orchestrator launch flow_brats
"""

from tune_spaces.schema import Data
from tune_spaces.shared.flow_spaces import flow_space
from tune_spaces.shared.pairs import TINY_IMAGES

OTHERS = ("brats_t2", "brats_flair", "cifar10")
SPACE = flow_space(
    Data(name="brats_t1", protocol="in_out", side=32, out=OTHERS, auxiliary=(TINY_IMAGES,)),
    fixed={"flip": False},  # as published
)
