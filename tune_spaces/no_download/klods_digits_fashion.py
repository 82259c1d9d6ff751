"""scikit-learn's digits against Fashion-MNIST, in groups, scored on a flow's latents after KLODS.

Question:  are groups of clothes told from groups of digits by the latents' correlation, where likelihoods may fail?
Expect:    as found. KLODS' exact estimator could not be read; this is a derivation. Typicality, GOD1KS, GOD2KS,
           likelihood and input complexity stand beside it, at every group size.
           Winners are chosen by made anomalies with correlated neighbours: that favours patches by construction.
Takes:     about three minutes on two CPU cores at the reduced preset; held-out groups are few, the choice uncertain.
Data:      scikit-learn's digits; Fashion-MNIST from Debian's package, --data-dir or torchvision's download: a
           machine without any of them ends with exit code 3.
Command:   python -m orchestrator launch klods_digits_fashion --preset reduced
"""

from tune_spaces.shared.klods_presets import FEW, pair

SPACE = pair(
    "digits", "fashion_mnist", "noise", splits=("patches_2", "groups_2"), levels={}, reduced=FEW, val_fraction=0.3
)
