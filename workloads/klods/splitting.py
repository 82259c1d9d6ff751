"""Latents cut into many short vectors, so that a covariance can be estimated from few images, even from one.

Correlation in latents of anomalies is local, so a vector must hold neighbours; far or random positions carry almost no
signal, and short vectors beat long ones at equal size of the latent.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from workloads.errors import BadInputError, closest

SQUEEZED = 4
NAMES = ("patches_2", "patches_4", "channels", "groups_4", "squeeze")


@dataclass(frozen=True)
class Split:
    """patches: p x p neighbours within a channel, m = p * p. channels: all channels of a position, m = C. groups: G
    adjacent channels of a position, m = G. `size` is p or G, 0 for channels."""

    kind: Literal["patches", "channels", "groups"]
    size: int


def parse(name: str) -> Split:
    """`patches_P` (P >= 2), `channels`, `groups_G` (G >= 2) or `squeeze`; BadInputError with the nearest for another.

    ``squeeze`` is groups of four adjacent channels: a squeeze puts the 2 x 2 neighbourhood of a pixel into the channels
    4 c + 2 row + column. On latents the flow has mixed them since, so this is an order to try, not a certainty.
    """
    kind, _, size = name.partition("_")
    if name == "channels":
        return Split("channels", 0)
    if name == "squeeze":
        return Split("groups", SQUEEZED)
    if size.isdecimal() and int(size) >= 2:
        if kind == "patches":
            return Split("patches", int(size))
        if kind == "groups":
            return Split("groups", int(size))
    fix = "patches_P or groups_G with a whole number of at least 2, channels, or squeeze"
    raise BadInputError(f"no split {name!r}", where="split", nearest=closest(name, NAMES), fix=fix)


def vectors(latents: Tensor, split: str) -> Tensor:
    """(..., C, H, W) -> (..., k, m) with k m = C H W, the same numbers in another order, dtype and device kept.

    Raises BadInputError where the split's size does not divide the latents'.
    """
    chosen = parse(split)
    *batch, channels, height, width = latents.shape
    if chosen.kind == "patches":
        p = chosen.size
        if height % p or width % p:
            raise BadInputError(
                f"patches of {p} x {p} do not tile latents of {height} x {width}",
                where="split",
                fix="a patch side that divides both, or another split (channels, groups_G)",
            )
        tiles = latents.reshape(*batch, channels, height // p, p, width // p, p)
        return tiles.transpose(-3, -2).reshape(*batch, -1, p * p)
    group = chosen.size or channels
    if channels % group:
        sizes = [size for size in range(2, channels + 1) if channels % size == 0]
        raise BadInputError(
            f"groups of {group} channels do not divide {channels} channels",
            where="split",
            fix=f"a group of {', '.join(map(str, sizes))}" if sizes else "patches_P: one channel has no groups",
        )
    return torch.movedim(latents, -3, -1).reshape(*batch, -1, group)
