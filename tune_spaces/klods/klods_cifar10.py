"""CIFAR-10 against the other datasets of its group comparison, scored in groups on a flow's latents after KLODS.

Question:  are groups of CIFAR-10 told from groups of other datasets where single likelihoods fail?
Expect:    the third-party rows of `published/cifar10_groups`; KLODS' exact estimator could not be read, this is a
           derivation, so a difference proves nothing about the paper. Every other score stands beside it.
           Winners are chosen by made anomalies with correlated neighbours: that favours patches by construction.
Takes:     one flow for all trials, 1.2 PFLOP an epoch of 50,000 images.
Data:      in --data-dir, or downloaded where their publishers allow it.
Command:   python -m orchestrator launch klods_cifar10
"""

from tune_spaces.shared.klods_presets import pair

SPACE = pair("cifar10", "svhn", "celeba", "lsun")
