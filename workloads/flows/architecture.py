"""Shapes of the flow networks as plain numbers, and what they cost. No torch: a dry run must be instant."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal, get_args

from workloads.units import ImageShape

Kind = Literal["glow", "patch", "dense"]
Permutation = Literal["lu", "plain", "rotation", "shuffle"]
CouplingKind = Literal["affine", "additive"]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Architecture:
    """Defaults: the Glow of Schirrmeister et al. (arXiv 2006.10848). Their dense flow has 8 steps."""

    kind: Kind
    channels: int
    side: int
    scales: int = 3  # of glow and dense; a patch flow has one
    steps: int = 32  # a scale
    hidden: int = 512  # width of the coupling networks
    permutation: Permutation = "lu"  # of glow and patch; a dense flow mixes by fixed rotations
    coupling: CouplingKind = "affine"
    patch: int = 8  # side of a patch flow's patches
    classes: int = 0  # above 0: a Gaussian head a class
    checkpointing: bool = False  # coupling networks run again in the backward pass: less memory, a third more compute
    autocast: bool = False  # precision bf16, as artifacts spell it: coupling networks in bfloat16 while training

    @property
    def shape(self) -> ImageShape:
        """Of the images that the network takes."""
        return ImageShape(self.channels, self.side, self.side)


def problems(a: Architecture) -> Iterator[tuple[str, str]]:
    """Every (key, what is wrong); nothing if the network exists."""
    for key, kinds in (("kind", Kind), ("permutation", Permutation), ("coupling", CouplingKind)):
        if getattr(a, key) not in get_args(kinds):
            yield key, f"must be one of {', '.join(get_args(kinds))}, found {getattr(a, key)!r}"
    below = [key for key in ("channels", "side", "scales", "steps", "hidden", "patch") if getattr(a, key) < 1]
    for key in below:
        yield key, f"must be 1 or more, found {getattr(a, key)}"
    if a.classes < 0:
        yield "classes", f"must be 0 (none) or more, found {a.classes}"
    if a.classes and a.kind != "glow":
        yield "classes", f"must be 0 for kind {a.kind!r}: class heads exist for 'glow'"
    if below:
        return
    if a.kind != "patch" and a.side % 2**a.scales:
        yield "side", f"must be a multiple of {2**a.scales}, for {a.scales} scales halve it, found {a.side}"
    if a.kind == "patch" and (a.side % a.patch or a.patch % 2):
        yield "patch", f"must be even and divide the side {a.side}, found {a.patch}"


def scale_shapes(a: Architecture) -> tuple[Shape, ...]:
    """(C, H, W) of the feature maps that each scale's steps run on."""
    if a.kind == "patch":
        return ((4 * a.channels, a.patch // 2, a.patch // 2),)
    return tuple((4 * a.channels * 2**i, a.side // 2 ** (i + 1), a.side // 2 ** (i + 1)) for i in range(a.scales))


def latent_shapes(a: Architecture) -> tuple[Shape, ...]:
    """(C, H, W) of each scale's latents: half of its channels, all of them at the last."""
    if a.kind == "patch":
        return ((4 * a.channels, a.side // 2, a.side // 2),)
    *early, last = scale_shapes(a)
    return (*((c // 2, h, w) for c, h, w in early), last)


def parameters(a: Architecture) -> int:
    """Trained numbers; fixed rotations, permutations and signs are none."""
    tail = a.channels * (a.patch if a.kind == "patch" else a.side) ** 2
    heads = 4 * a.classes * a.channels * a.side**2
    return sum(a.steps * _step_parameters(a, shape) for shape in scale_shapes(a)) + 2 * tail + heads


def _step_parameters(a: Architecture, shape: Shape) -> int:
    hidden = a.hidden
    if a.kind == "dense":
        dims = prod(shape)
        out = _outputs(a, dims)
        return 2 * dims + (dims // 2 + 1) * hidden + (hidden + 1) * hidden + (hidden + 1) * out
    channels = shape[0]
    out = _outputs(a, channels)
    mixing = {"lu": 2 * channels**2 + channels, "plain": channels**2}.get(a.permutation, 0)
    net = 9 * channels // 2 * hidden + hidden**2 + 4 * hidden + 9 * hidden * out + 2 * out
    return 2 * channels + mixing + net


def macs(a: Architecture) -> float:
    """Multiply-accumulates of one forward pass of one image; a backward pass counts as two."""
    patches = (a.side // a.patch) ** 2 if a.kind == "patch" else 1
    return float(sum(patches * a.steps * _step_macs(a, shape) for shape in scale_shapes(a)))


def kept(a: Architecture) -> float:
    """Numbers that the backward pass needs of one image: every step's maps and both hidden layers of its network.

    With checkpointing the networks run again, one at a time, and only the maps stay.
    """
    patches = (a.side // a.patch) ** 2 if a.kind == "patch" else 1
    total = 0.0
    for shape in scale_shapes(a):
        places = 1 if a.kind == "dense" else shape[1] * shape[2]
        hidden, maps = 2 * a.hidden * places, 8 * prod(shape)
        total += a.steps * maps + (hidden if a.checkpointing else a.steps * hidden)
    return patches * total


def _step_macs(a: Architecture, shape: Shape) -> int:
    if a.kind == "dense":
        dims = prod(shape)
        return dims**2 + dims // 2 * a.hidden + a.hidden**2 + a.hidden * _outputs(a, dims)
    channels, height, width = shape
    kernels = 9 * channels // 2 * a.hidden + a.hidden**2 + 9 * a.hidden * _outputs(a, channels)
    return height * width * (channels**2 + kernels)


def _outputs(a: Architecture, channels: int) -> int:
    return channels if a.coupling == "affine" else channels // 2
