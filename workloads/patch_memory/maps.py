"""From distances of patches to scores of pixels."""

from torch import Tensor
from torch.nn.functional import interpolate

from workloads.smoothing import smoothed


def pixel_scores(distances: Tensor, height: int, width: int, smoothing: float) -> Tensor:
    """(N, height, width) from distances of patches (N, h, w): bilinear, then a Gaussian of that standard deviation."""
    scores = interpolate(distances[:, None], (height, width), mode="bilinear", align_corners=False)
    return smoothed(scores, smoothing)[:, 0]
