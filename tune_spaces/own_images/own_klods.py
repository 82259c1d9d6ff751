"""Your own images by KLODS: groups of images whose latents are unlike those of normal ones.

Question:  which groups of five of your images hold anomalies?
Expect:    groups told apart better than single images; see docs/klods.md, which says what is a derivation.
Takes:     minutes to hours; see the plan. Groups need tens of held-out images.
Data:      a folder of class folders, or train/good, test/good, test/DEFECT (docs/own-images.md).
Command:   python -m orchestrator launch own_klods --images photos
           or: launch --images photos --method klods
"""

from tune_spaces.schema import Data, Scheduler, Space
from tune_spaces.shared.klods_presets import KLODS_PRESETS

SPACE = Space(
    workload="klods",
    data=Data(name="folder", path="photos", side=32, val_fraction=0.3),
    fixed={"group_sizes": (1, 5)},
    scheduler=Scheduler(kind="fifo"),
    presets=KLODS_PRESETS,
    preset="reduced",
)
