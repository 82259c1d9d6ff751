"""Fashion-MNIST against scikit-learn's digits, in groups, scored on a flow's latents after KLODS.

Question:  are groups of digits told from groups of clothes by the latents' correlation, where likelihoods may fail?
Expect:    as found. KLODS' exact estimator could not be read; this is a derivation. Typicality, GOD1KS, GOD2KS,
           likelihood and input complexity stand beside it, at every group size.
           Winners are chosen by made anomalies with correlated neighbours: that favours patches by construction.
Takes:     about six minutes on two CPU cores at the reduced preset; its flow is also klods_fashion_mnist's.
Data:      scikit-learn's digits; Fashion-MNIST from Debian's package, --data-dir or torchvision's download: a
           machine without any of them ends with exit code 3.
Command:   python -m orchestrator launch klods_fashion_digits --preset reduced
"""

from tune_spaces.shared.klods_presets import pair

SPACE = pair("fashion_mnist", "digits", "noise", splits=("patches_2", "groups_2"), levels={})
