"""A fresh patch classifier: can windows of a given side tell real images from a generator's?

It is a detector's network (trunk, true coordinates, one residual block) that no generator was trained against, so a
generator cannot have learnt to please it. Coordinates are given because the generator's own adversary has them.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from workloads.mlsad.architecture import map_side
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.crops import crop_corners, crops
from workloads.mlsad.mrf import to_signed
from workloads.mlsad.networks.detector import PatchDetector
from workloads.mlsad.networks.layers import at_once, coordinates
from workloads.training.batches import batch_rows
from workloads.training.distributed import Draws, Parallel
from workloads.training.optimisers import descend
from workloads.training.seeds import derive_seed

BATCH = 32  # real images of a step, and as many fakes
RATE = 1e-3  # Adam's default: no tuning, so that no classifier is better prepared than another
BLOCK = 64  # images of 32 x 32 scored at a time


class Images(NamedTuple):
    """uint8 (N, C, S, S) of one kind, on the device, disjoint."""

    train: Tensor
    held_out: Tensor


def accuracy(config: MLSADConfig, field: int, real: Images, fake: Images, seed: int) -> float | None:
    """Share of held-out windows judged rightly by a classifier of receptive field `field` pixels, in [0, 1].

    Real and fake weigh the same, then images, then positions; a logit above 0 says fake. `config.quality_steps` steps
    of Adam on 32 + 32 images, at `config.width`. None without held-out images. Depends on `seed` and the images alone.
    """
    if not len(real.held_out) or not len(fake.held_out):
        return None
    net = trained(config, field, real.train, fake.train, seed)
    right = (1 - said_fake(net, real.held_out)) + said_fake(net, fake.held_out)
    return right / 2


def trained(config: MLSADConfig, field: int, real: Tensor, fake: Tensor, seed: int) -> PatchDetector:
    """The classifier after its fixed budget; logits are high for fakes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        net = PatchDetector(field, real.shape[1], config.width, blocks=1).to(real.device)
    net.to(memory_format=torch.channels_last)
    place = coordinates(real.shape[-1], field, real.device)
    weights = list(net.parameters())
    optimiser = torch.optim.Adam(weights, lr=RATE, fused=True)
    for step in range(config.quality_steps):
        parts = [
            images[batch_rows(derive_seed(seed, name), step, BATCH, len(images)).to(images.device)]
            for name, images in (("real", real), ("fake", fake))
        ]
        images, where = cropped(config, torch.cat(parts), place, derive_seed(seed, "crops", step))
        on_real, on_fake = net(to_signed(images), where).chunk(2)
        loss = F.softplus(on_real).mean() + F.softplus(-on_fake).mean()
        descend(optimiser, torch.autograd.grad(loss, weights))
    return net


def cropped(config: MLSADConfig, images: Tensor, place: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Where detectors train on crops, so do their judges: (images, true coordinates) at a random place of each."""
    side = images.shape[-1]
    if config.crop in (0, side):
        return images, place
    level = side - place.shape[-1] + 1  # a map has k - 1 cells fewer than its image pixels
    corners = crop_corners(Draws(seed, images.device, Parallel()), (len(images),), side, config.crop, level)
    return crops(images, corners, config.crop), crops(place, corners, map_side(config.crop, level))


@torch.inference_mode()
def said_fake(net: PatchDetector, images: Tensor) -> float:
    """Share of the windows of uint8 (N, C, S, S) that the classifier calls fake."""
    place = coordinates(images.shape[-1], net.level, images.device)
    block = at_once(BLOCK, images.shape[-1])
    parts = [(net(to_signed(part), place) > 0).float().mean((1, 2, 3)) for part in images.split(block)]
    return float(torch.cat(parts).mean())
