"""Flows on scikit-learn's real digits, one class against the others, without any download.

What it answers: does the ratio to a general flow, here of photographs' tiles, tell a digit from other digits?
Expect: little from the likelihood alone, for every digit is made of the same strokes; ratio and final scale as found.
Ten classes of about 81 training images each, 16x16 pixels, one general flow for all of them.
Cost: about ten minutes on two CPU cores.

    python -m orchestrator launch flow_digits
"""

from tune_spaces.presets import FLOW_PRESETS
from tune_spaces.schema import Data, General, Resources, Scheduler, Space

SPACE = Space(
    workload="flow",
    data=Data(name="digits", side=16, out=("noise",), general=(General(name="photo_tiles"),)),
    fixed={"flip": False},
    axes={"score": ("ratio", "final_scale", "likelihood")},
    scheduler=Scheduler(kind="fifo"),
    resources=Resources(workers=1),
    analyses=("correlation",),
    presets=FLOW_PRESETS,
    preset="reduced",
)
