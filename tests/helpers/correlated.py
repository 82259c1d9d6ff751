"""Latents whose neighbours are correlated while their norms are those of white noise."""

import numpy as np
import torch

from workloads.klods.calibration import autoregressive


def white(count, shape, seed):
    """(count, C, H, W) float64 drawn from N(0, I)."""
    return torch.randn(count, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def neighbours(count, shape, rho, seed):
    """The same filtered by AR(1) along rows and along columns, every norm redrawn from the chi law of white noise."""
    latents = autoregressive(autoregressive(white(count, shape, seed), rho, -1), rho, -2)
    norms = torch.from_numpy(np.sqrt(np.random.default_rng(seed).chisquare(latents[0].numel(), count)))
    return latents * (norms / latents.flatten(1).norm(dim=1))[:, None, None, None]
