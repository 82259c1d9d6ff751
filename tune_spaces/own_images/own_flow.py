"""Your own images by a normalising flow: those of low likelihood are anomalous.

Question:  which of your images does a flow that learnt normal ones find unlikely?
Expect:    little on photographs: a likelihood follows how simple an image is. It is here to compare with.
Takes:     minutes to hours; see the plan.
Data:      a folder of class folders, or train/good, test/good, test/DEFECT (docs/own-images.md).
Command:   python -m orchestrator launch own_flow --images photos
           or: launch --images photos --method flow
"""

from tune_spaces.schema import Data, Scheduler, Space
from tune_spaces.shared.presets import FLOW_PRESETS

SPACE = Space(
    workload="flow",
    select_by="likelihood",
    data=Data(name="folder", path="photos", side=32),
    fixed={"hierarchy": "none", "from_general": False, "score": "likelihood"},
    scheduler=Scheduler(kind="fifo"),
    analyses=("examples",),
    presets=FLOW_PRESETS,
    preset="reduced",
)
