"""What the position pair teaches D_1: which colours belong where (appendix B of the paper)."""

import torch
from torch import Tensor

from workloads.data.view import TargetView
from workloads.figures import Panel, panel_rows
from workloads.learner import Finding, Fitted
from workloads.mlsad.analyses.localisation import window_maps
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.mrf import level_0
from workloads.training.distributed import Draws, Parallel
from workloads.training.seeds import derive_seed


def correlation(a: Tensor, b: Tensor) -> float | None:
    """Pearson's, over all entries, in [-1, 1]; None where either is constant."""
    a, b = (x.double().flatten() - x.double().mean() for x in (a, b))
    size = float(a.norm() * b.norm())
    return float(a @ b) / size if size > 1e-12 else None


def position(config: MLSADConfig, view: TargetView, fitted: Fitted, seed: int) -> Finding:
    """D_1's map of an all-white image and of one of noise, against the training images' mean.

    D_1 sees single pixels. Trained with the position pair it knows which are bright where, so the map of the white
    image resembles 1 - the mean image. Without (lambda_position = 0) it learns what tells a pixel from noise, and the
    place matters only where a white pixel is as rare in normal images as in noise: with many greys, or never white.
    Numbers: `correlation/white` and `correlation/noise`, Pearson's between the map and 1 - the mean training image
    (its channels averaged), in [-1, 1], None where either is constant; `spread/white` and `spread/noise`, the map's
    standard deviation in [0, 0.5], for a nearly flat map may correlate as well. All None without D_1.
    Picture: `position`: the mean image, 1 - the mean image, the white image's map and the noise image's; the maps share
    their colours' limits. Source: Dai et al., arXiv 2104.12102, appendix B; it shows pictures, the numbers are ours.
    """
    names = ("white", "noise")
    if 1 not in config.levels:
        return Finding({f"{what}/{name}": None for what in ("correlation", "spread") for name in names})
    shape = view.train.shape[1:]
    draws = Draws(derive_seed(seed, "position", view.target), view.train.device, Parallel())
    images = torch.cat([view.train.new_full((1, *shape), 255), level_0(draws, (1, *shape))])
    maps = window_maps(config, view, fitted, images)[1]
    mean = view.train.float().mean((0, 1)) / 255
    numbers: dict[str, float | None] = {}
    for name, scores in zip(names, maps, strict=True):
        numbers[f"correlation/{name}"] = correlation(scores, 1 - mean)
        numbers[f"spread/{name}"] = float(scores.std(correction=0))
    panels = [Panel(image=(255 * grey).round().to(torch.uint8)[None]) for grey in (mean, 1 - mean)]
    panels += [Panel(scores=scores) for scores in maps]
    titles = ("mean image", "1 - mean image", "map of white", "map of noise")
    return Finding(numbers, {"position": panel_rows([panels], titles, float(maps.min()), float(maps.max()))})
