"""How latents are cut into vectors, and how many a group has: plain numbers, no torch, so that planning is instant."""

from dataclasses import dataclass
from typing import Literal

from workloads.errors import UserError, closest

Regulariser = Literal["none", "shrinkage", "ledoit_wolf"]
REGULARISERS: tuple[Regulariser, ...] = ("none", "shrinkage", "ledoit_wolf")
SQUEEZED = 4
NAMES = ("patches_2", "patches_4", "channels", "groups_4", "squeeze")


@dataclass(frozen=True)
class LatentCut:
    """patches: p x p neighbours within a channel, m = p * p. channels: all channels of a position, m = C. groups: G
    adjacent channels of a position, m = G. `size` is p or G, 0 for channels."""

    kind: Literal["patches", "channels", "groups"]
    size: int


@dataclass(frozen=True)
class Vectors:
    """A group has n vectors of length m in a level, k of them in every image."""

    n: int
    m: int
    k: int


def parse(name: str) -> LatentCut:
    """`patches_P` (P >= 2), `channels`, `groups_G` (G >= 2) or `squeeze`; UserError with the nearest for another.

    ``squeeze`` is groups of four adjacent channels: a squeeze puts the 2 x 2 neighbourhood of a pixel into the channels
    4 c + 2 row + column. On latents the flow has mixed them since, so this is an order to try, not a certainty.
    """
    kind, _, size = name.partition("_")
    if name == "channels":
        return LatentCut("channels", 0)
    if name == "squeeze":
        return LatentCut("groups", SQUEEZED)
    if size.isdecimal() and int(size) >= 2 and kind in ("patches", "groups"):
        return LatentCut("patches" if kind == "patches" else "groups", int(size))
    fix = "patches_P or groups_G with a whole number of at least 2, channels, or squeeze"
    raise UserError(f"no split {name!r}", where="split", nearest=closest(name, NAMES), fix=fix)


def counted(shape: tuple[int, int, int], split: str, size: int = 1) -> Vectors:
    """Of latents (C, H, W) and groups of `size` images. UserError where the split does not divide the latents."""
    chosen = parse(split)
    channels, height, width = shape
    if chosen.kind == "patches":
        p = chosen.size
        if height % p or width % p:
            fix = "a patch side that divides both, or another split (channels, groups_G)"
            raise UserError(f"patches of {p} x {p} do not tile latents of {height} x {width}", where="split", fix=fix)
        m = p * p
    else:
        m = chosen.size or channels
        if channels % m:
            sizes = [size for size in range(2, channels + 1) if channels % size == 0]
            fix = f"a group of {', '.join(map(str, sizes))}" if sizes else "patches_P: one channel has no groups"
            raise UserError(f"groups of {m} channels do not divide {channels} channels", where="split", fix=fix)
    k = channels * height * width // m
    return Vectors(size * k, m, k)


def check_enough(n: int, m: int, regulariser: Regulariser) -> None:
    """Raises UserError where n vectors of length m have no covariance of full rank and nothing mends that."""
    if regulariser == "none" and n <= m:
        raise UserError(
            f"n = {n} vectors of length m = {m} a group: the covariance is singular, the score infinite",
            where="regulariser none needs n > m, and n of 8 m or more to follow the null law",
            fix="larger groups, shorter vectors (split patches_2 has m = 4), or regulariser shrinkage or ledoit_wolf",
        )
    if regulariser == "ledoit_wolf" and n < 2:
        raise UserError(f"Ledoit-Wolf needs 2 vectors or more a group, found {n}", fix="regulariser shrinkage")
