"""AUROC on made latents where the answer was measured once: likelihood blind, neighbouring patches all but perfect.

The table's own numbers come from 400 against 400 single images, so its columns near chance carry a standard error of
.02. Read as: AR(1) along both axes; far pixels half a side apart; random vectors from one permutation of the latent.
"""

import numpy as np
import pytest
import torch

from tests.helpers.correlated import neighbours, white
from workloads.klods.config import KlodsConfig
from workloads.klods.latents import prior_log_density
from workloads.klods.scoring import group_kl
from workloads.scoring.metrics import auroc

COUNT = 1500
TOLERANCE, SAMPLING = 0.02, 0.02

ROWS = [  # latent, rho, 2x2 patches, 4x4 patches, 2x2 of far pixels, random vectors of 4
    ((12, 8, 8), 0.2, 0.995, 0.940, 0.664, 0.546),
    ((12, 8, 8), 0.4, 1.000, 1.000, 0.905, 0.682),
    ((48, 4, 4), 0.2, 0.994, 0.936, 0.658, 0.525),
    ((3, 32, 32), 0.1, 0.995, 0.942, 0.591, 0.556),
]


def far_together(latents):
    """Positions half a side apart moved into one 2 x 2 patch."""
    for axis in (-1, -2):
        half = latents.shape[axis] // 2
        order = torch.arange(2 * half).view(2, half).mT.flatten()
        latents = latents.index_select(axis, order)
    return latents


def area(normal, anomalous, split, size=1):
    config = KlodsConfig(split=split)
    members = torch.arange(len(normal)).view(-1, size)
    scores = [group_kl(latents, members, config).numpy() for latents in (normal, anomalous)]
    return auroc(np.concatenate(scores), np.repeat([0, 1], [len(part) for part in scores]))


@pytest.mark.parametrize(("shape", "rho", "patches", "larger", "far", "random"), ROWS)
def test_the_table_of_made_latents(shape, rho, patches, larger, far, random):
    normal, anomalous = white(COUNT, shape, 1), neighbours(COUNT, shape, rho, 2)
    assert area(normal, anomalous, "patches_2") == pytest.approx(patches, abs=TOLERANCE)
    assert area(normal, anomalous, "patches_4") == pytest.approx(larger, abs=TOLERANCE)
    assert area(normal, anomalous, "patches_2", 5) == pytest.approx(1, abs=0.001)
    apart = [far_together(latents) for latents in (normal, anomalous)]
    assert area(*apart, "patches_2") == pytest.approx(far, abs=TOLERANCE + SAMPLING)
    order = torch.randperm(normal[0].numel(), generator=torch.Generator().manual_seed(3))
    mixed = [latents.flatten(1)[:, order].view(COUNT, 1, -1, 4).movedim(3, 1) for latents in (normal, anomalous)]
    assert area(*mixed, "channels") == pytest.approx(random, abs=TOLERANCE + 3 * SAMPLING)
    nll = np.concatenate([-prior_log_density([latents]) for latents in (normal, anomalous)])
    assert auroc(nll, np.repeat([0, 1], COUNT)) == pytest.approx(0.5, abs=TOLERANCE + 2 * SAMPLING)
