"""Flows on scikit-learn's real digits, one class against the others, without any download.

Question:  does the ratio to a general flow, here of photographs' tiles, tell a digit from other digits? All scores of
           the winner stand side by side, class by class.
Expect:    as found; docs/flows.md has what was. The rate is chosen by bits/dim of held-out digits, so no
           test label and no other image is looked at.
Takes:     about five minutes on two CPU cores.
Data:      scikit-learn's digits and photographs.
Command:   python -m orchestrator launch flow_digits
"""

from tune_spaces.schema import Data, Search
from tune_spaces.shared.flow_spaces import PHOTO_TILES, flow_space
from tune_spaces.shared.presets import FLOW_PRESETS

SMALL = {"epochs": 20.0, "batch_size": 16, "warmup_steps": 20}  # 81 images a class: epochs of five steps
REDUCED = FLOW_PRESETS["reduced"].model_copy(update={"config": FLOW_PRESETS["reduced"].config | SMALL})
SPACE = flow_space(
    Data(name="digits", side=16, out=("noise",), auxiliary=(PHOTO_TILES,)),
    fixed={"flip": False},
    axes={"lr": (5e-4, 1e-3, 2e-3)},
    search=Search(kind="grid"),
    select_by="likelihood",
    analyses=("correlation",),
    presets=FLOW_PRESETS | {"reduced": REDUCED},
    preset="reduced",
)
