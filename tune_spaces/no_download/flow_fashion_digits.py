"""A flow of Fashion-MNIST against digits, with a general set that needs no download.

Question:  does the paper's ordering (likelihood, final scale, ratio) appear on real data that every machine can have?
Expect:    as found; workloads/flows/README.md has what was.
Takes:     about ten minutes on two CPU cores at the reduced preset.
Data:      scikit-learn's digits and photographs; Fashion-MNIST from Debian's package or downloaded.
Command:   python -m orchestrator launch flow_fashion_digits --preset reduced
"""

from tune_spaces.schema import Auxiliary, Data, Scheduler, Space
from tune_spaces.shared.presets import FLOW_PRESETS

SPACE = Space(
    workload="flow",
    data=Data(
        name="fashion_mnist",
        protocol="in_out",
        side=32,
        out=("digits", "noise"),
        auxiliary=(Auxiliary(name="photo_tiles"),),
    ),
    fixed={"flip": False},
    scheduler=Scheduler(kind="fifo"),
    analyses=("correlation", "samples", "curves"),
    presets=FLOW_PRESETS,
)
