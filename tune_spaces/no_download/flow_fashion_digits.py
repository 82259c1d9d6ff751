"""A flow of Fashion-MNIST against digits, with an auxiliary set that needs no download.

Question:  does the paper's ordering (likelihood, final scale, ratio) appear on real data that every machine can have?
Expect:    as found; docs/flows.md has what was.
Takes:     about ten minutes on two CPU cores at the reduced preset.
Data:      scikit-learn's digits and photographs; Fashion-MNIST from Debian's package or downloaded.
Command:   python -m orchestrator launch flow_fashion_digits --preset reduced
"""

from tune_spaces.schema import Data
from tune_spaces.shared.flow_spaces import PHOTO_TILES, flow_space

DATA = Data(name="fashion_mnist", protocol="in_out", side=32, out=("digits", "noise"), auxiliary=(PHOTO_TILES,))
SPACE = flow_space(DATA, fixed={"flip": False})
