"""Local-patch flow: an image's density as the product of its patches' (arXiv 2006.10848, local patches)."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from workloads.flows.architecture import Architecture, latent_shapes
from workloads.flows.networks.flow import Encoded, Transform
from workloads.flows.networks.glow import MultiScale, conv_block


def cut(x: Tensor, rows: int) -> Tensor:
    """(B, C, H, W) -> (B rows rows, C, H / rows, W / rows): the tiles of each image, row by row."""
    tiles = x.unflatten(3, (rows, -1)).unflatten(2, (rows, -1))  # B, C, rows, h, rows, w
    return tiles.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


def join(tiles: Tensor, rows: int) -> Tensor:
    """`cut` backwards."""
    x = tiles.unflatten(0, (-1, rows, rows)).permute(0, 3, 1, 4, 2, 5)
    return x.flatten(4, 5).flatten(2, 3)


class Patches(Transform):
    """The same one-scale flow on every patch, which sees nothing beyond its borders.

    One scale (S = 1). Logdets are summed over patches; latents stand where their patch stood, (B, 4 C, side/2, side/2).
    """

    def __init__(self, flow: Transform, rows: int) -> None:
        super().__init__()
        self.flow, self.rows = flow, rows
        ((channels, height, width),) = flow.shapes
        self.shapes = ((channels, rows * height, rows * width),)

    def encode(self, x: Tensor, measure: bool = False) -> Encoded:
        flow, tail, (z,) = self.flow.encode(cut(x, self.rows), measure)
        by_patch = (x.shape[0], self.rows**2, 1)
        return Encoded(flow.view(by_patch).sum(1), tail.view(by_patch).sum(1), (join(z, self.rows),))

    def decode(self, latents: Sequence[Tensor]) -> Tensor:
        return join(self.flow.decode([cut(latents[0], self.rows)]), self.rows)


def patch_flow(a: Architecture) -> Patches:
    """3x32x32 and patches of 8: 16 patches, one squeeze to 12x4x4, a tail actnorm of 192 dimensions for them all."""
    patch = replace(a, kind="glow", side=a.patch, scales=1)
    (shape,) = latent_shapes(patch)
    return Patches(MultiScale([shape], [conv_block(a, shape[0])]), a.side // a.patch)
