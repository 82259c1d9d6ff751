"""Level-specific detector D_k: which k x k windows look unlike the normal class, given where they are."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.mlsad.architecture import HEADS, TRUNKS, scaled
from workloads.mlsad.networks.layers import SLOPE, Residual1x1


class PatchDetector(nn.Module):
    """(N, C, S, S) in [-1, 1], coordinates (N or 1, 2, M, M), M = S-k+1 -> (N, 1, M, M) logits: high = odd.

    No normalisation anywhere. Coordinates enter after the trunk, where every kernel is 1x1: nothing can compare the
    coordinates of neighbouring windows.
    """

    def __init__(self, level: int, channels: int, width: float, blocks: int) -> None:
        super().__init__()
        self.level = level
        layers, inner = [], channels
        for kernel, out in TRUNKS[level]:
            layers += [nn.Conv2d(inner, scaled(out, width), kernel), nn.LeakyReLU(SLOPE)]
            inner = scaled(out, width)
        self.trunk = nn.Sequential(*layers)
        self.hidden = scaled(HEADS[level], width)
        self.enter = nn.Conv2d(inner + 2, self.hidden, 1)
        self.blocks = nn.ModuleList(Residual1x1(self.hidden) for _ in range(blocks))
        self.out = nn.Conv2d(self.hidden, 1, 1)

    def head(self, features: Tensor, place: Tensor, masks: list[Tensor] | None = None) -> Tensor:
        """Logits from trunk features and coordinates; `masks` are the blocks' dropout masks in training."""
        x = torch.cat([features, place.expand(features.shape[0], -1, -1, -1)], 1)  # `len` would fix an export to it
        x = F.leaky_relu(self.enter(x), SLOPE)
        for i, block in enumerate(self.blocks):
            x = block(x, None if masks is None else masks[i])
        logits: Tensor = self.out(F.leaky_relu(x, SLOPE))
        return logits

    def forward(self, x: Tensor, place: Tensor, masks: list[Tensor] | None = None) -> Tensor:
        """Logits; where there are more coordinates than images, the first images are judged at the further ones, too.

        Coordinates enter after the trunk, so its features of (x, C) are those of (x, C~): computed once.
        """
        features = self.trunk(x)
        if (again := len(place) - len(features)) > 0:
            features = torch.cat([features, features[:again]])
        return self.head(features, place, masks)


def contrast_loss(
    normal: Tensor,
    fake: Tensor,
    displaced: Tensor,
    lambda_structure: float | Tensor,
    lambda_position: float | Tensor,
) -> Tensor:
    """Eq. 3 from the logits of (x, C), (x~, C) and (x, C~), each (N, 1, M, M): windows averaged, then images."""
    return (
        F.softplus(normal).mean()
        + lambda_structure * F.softplus(-fake).mean()
        + lambda_position * F.softplus(-displaced).mean()
    )
