"""Your own photographs, without any training: patches that are far from all patches of normal images are anomalous.

Question:  which of your images are anomalous, and where?
Expect:    maps and scores within minutes. Its features were trained on ImageNet: numbers rest on images from elsewhere.
           `--set features=random` rests on yours alone, and sees far less.
Takes:     seconds a hundred images on a core; see the plan. The weights: docs/patch-memory.md.
Data:      a folder of class folders, or train/good, test/good, test/DEFECT (docs/own-images.md).
Command:   python -m orchestrator launch own_patch_memory --images photos
           or: launch --images photos
"""

from tune_spaces.schema import Data, Scheduler, Space
from tune_spaces.shared.patch_presets import PATCH_PRESETS

SPACE = Space(
    workload="patch_memory",
    data=Data(name="folder", path="photos", side=256),
    scheduler=Scheduler(kind="fifo"),
    analyses=("examples",),
    presets=PATCH_PRESETS,
    preset="reduced",
)
