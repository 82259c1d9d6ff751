"""A flow of fully connected layers: what is left of the likelihood without convolutions?

Question:  a model for analysis and no detector: do likelihoods of different sets still agree without convolutions?
Expect:    no table of the paper could be read, only its words: without convolutions the likelihoods of CIFAR-10 and
           SVHN models correlate less.
Takes:     an hour or two on a GPU; `--dry-run` prints the estimate for your machine.
Data:      the datasets in --data-dir or downloaded where their publishers allow it.
Command:   python -m orchestrator launch flow_dense
"""

from tune_spaces.shared.flow_spaces import flow_space
from tune_spaces.shared.pairs import in_out

SPACE = flow_space(
    in_out("cifar10", auxiliary=False),
    fixed={"kind": "dense", "hierarchy": "none", "from_general": False, "score": "likelihood", "steps": 8},
    select_by="likelihood",  # without auxiliary images nothing stands in for anomalies
    analyses=("samples", "curves"),
)
