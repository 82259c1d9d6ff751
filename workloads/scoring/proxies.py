"""Proxy anomalies for methods that make none of their own: held-out normal images with a piece moved elsewhere.

After CutPaste (Li et al., CVPR 2021, arXiv 2104.04015): a rectangle of 2 to 15 % of the image, its sides in a ratio of
0.3 to 3.3, is copied to another place of the same image, without their colour jitter. Their use as a criterion of
selection is a guess. They depend on the images alone, so every config is held against the same ones.
"""

import math

import torch
from torch import Tensor

from workloads.training.seeds import derive_seed

AREA = (0.02, 0.15)
RATIO = (0.3, 3.3)


def cut_and_pasted(images: Tensor, seed: int = 0) -> Tensor:
    """Images uint8 (N, C, H, W), each with a piece of itself in another place; on their device."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "cut_and_paste"))
    height, width = images.shape[2:]
    made = images.clone()
    for row, (area, ratio, *places) in enumerate(torch.rand(len(images), 6, generator=generator).tolist()):
        pixels = height * width * (AREA[0] + area * (AREA[1] - AREA[0]))
        aspect = math.exp(math.log(RATIO[0]) + ratio * math.log(RATIO[1] / RATIO[0]))
        h = max(1, min(height - 1, round(math.sqrt(pixels * aspect))))
        w = max(1, min(width - 1, round(math.sqrt(pixels / aspect))))
        room = (height - h + 1, width - w + 1) * 2
        top, left, to_top, to_left = (int(place * sides) for place, sides in zip(places, room, strict=True))
        made[row, :, to_top : to_top + h, to_left : to_left + w] = images[row, :, top : top + h, left : left + w]
    return made
