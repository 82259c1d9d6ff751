"""A flow of local patches: does locality alone explain the likelihood?

Question:  a model for analysis and no detector: is the likelihood made by local features alone?
Expect:    no table of the paper could be read, only its words: the likelihood of 8 x 8 patches ranks images as the
           whole Glow's does.
Takes:     an hour or two on a GPU; `--dry-run` prints the estimate for your machine.
Data:      the datasets in --data-dir or downloaded where their publishers allow it.
Command:   python -m orchestrator launch flow_patch
"""

from tune_spaces.shared.flow_spaces import flow_space
from tune_spaces.shared.pairs import in_out

SPACE = flow_space(
    in_out("cifar10", auxiliary=False),
    fixed={"kind": "patch", "hierarchy": "none", "from_general": False, "score": "likelihood"},
    select_by="likelihood",  # without auxiliary images nothing stands in for anomalies
    analyses=("samples", "curves"),
)
