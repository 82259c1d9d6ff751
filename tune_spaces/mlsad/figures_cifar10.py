"""Samples of every level and the robustness probe on CIFAR-10's horses: Dai et al., Fig. 3 and section 4.3.

Question:  does G_k make images that are right up to k pixels and wrong beyond? What do images look like that the whole
           detector, a low level alone or D_16 alone takes for normal?
Expect:    published as pictures only: what fools the whole detector looks like a horse, what fools a single level does
           not. The numbers beside them (fraction fooled, distance to the nearest normal image) are ours.
Takes:     one class at the paper's schedule is about 100 PFLOP; `--dry-run` prints the estimate for your machine.
           `--class bird` and so on for the classes of the appendix.
Data:      --data-dir, or torchvision's download with its checksum.
Command:   python -m orchestrator launch figures_cifar10
"""

from tune_spaces.schema import Data
from tune_spaces.shared.mlsad_spaces import mlsad_space

SPACE = mlsad_space(Data(name="cifar10", side=32, classes=("horse",)), analyses=("generators", "fooling"))
