"""A flow of Fashion-MNIST against MNIST, fine-tuned from a flow of grey auxiliary images.

Question:  the grey pair, with Fashion-MNIST as normal.
Expect:    no table of the paper could be read, only its words: the likelihood takes digits for clothes, the ratio does
           not.
Takes:     about 30 PFLOP an epoch of the 1.25 million Tiny Images and 1.2 an epoch of CIFAR-10, so GPUs; `--dry-run`
           prints the estimate for your machine, `--preset reduced` is minutes to hours on two cores.
Data:      the datasets in --data-dir or downloaded where their publishers allow it; tiny_images.bin in --data-dir, or
           another auxiliary set by `--auxiliary NAME` (numbers made with another compare with no paper).
Command:   python -m orchestrator launch flow_fashion_mnist
"""

from tune_spaces.shared.flow_spaces import flow_space
from tune_spaces.shared.pairs import in_out

SPACE = flow_space(in_out("fashion_mnist"), fixed={"flip": False})
