"""Grey and RGB: one conversion for whoever needs images in another number of channels."""

import torch
from torch import Tensor


def as_channels(images: Tensor, channels: int) -> Tensor:
    """uint8 (N, C, S, S) with 1 or 3 channels: grey is repeated to RGB, RGB becomes its luminance (ITU-R 601)."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.expand(-1, 3, -1, -1)
    weights = images.new_tensor([0.299, 0.587, 0.114], dtype=torch.float32).view(1, 3, 1, 1)
    return (images.float() * weights).sum(1, keepdim=True).round().clamp(0, 255).to(torch.uint8)
