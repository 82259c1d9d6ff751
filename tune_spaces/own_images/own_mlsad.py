"""Your own photographs by MLSAD: generators and detectors that learn from them alone.

Question:  which of your images are anomalous, and where, without any images from elsewhere?
Expect:    less than own_patch_memory on textures, in far more time. Windows of 64 x 64 at native resolution keep small
           defects, and the largest score of a smoothed map keeps one among many. The numbers of steps are guesses.
Takes:     minutes to hours; see the plan.
Data:      a folder of class folders, or train/good, test/good, test/DEFECT (docs/own-images.md).
Command:   python -m orchestrator launch own_mlsad --images photos
           or: launch --images photos --method mlsad
"""

from tune_spaces.schema import Data, Scheduler, Space
from tune_spaces.shared.presets import MLSAD_PRESETS, MLSAD_REDUCED

# epochs are few steps where images are few, and hours where they are many; steps cost the same of any folder
STEPS = {"generator_steps": 500, "detector_steps": 1200}

SPACE = Space(
    workload="mlsad",
    data=Data(name="folder", path="photos", side=64),
    fixed={"pooling": "peak", "position": "grid"},
    scheduler=Scheduler(kind="fifo"),
    analyses=("examples",),
    presets=MLSAD_PRESETS | {"reduced": MLSAD_PRESETS["reduced"].model_copy(update={"config": MLSAD_REDUCED | STEPS})},
    preset="reduced",
)
