"""Images in another form: the one place that changes their channels and sides. They are uint8 throughout."""

from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from workloads.data.windows import Form, Layout, Windowed, cut, layout
from workloads.errors import UserError
from workloads.units import ImageShape

BLOCK = 1024  # images turned to float32 at a time: 12 MB at 3x32x32


@overload
def conform(images: NDArray[np.uint8], shape: ImageShape) -> NDArray[np.uint8]: ...
@overload
def conform(images: Tensor, shape: ImageShape) -> Tensor: ...
def conform(images: NDArray[np.uint8] | Tensor, shape: ImageShape) -> NDArray[np.uint8] | Tensor:
    """Images uint8 (N, 1 or 3, H, W) as uint8 (N, *shape), first resized, then in the other number of channels.

    What has the shape already is returned as it is. Raises UserError for another dtype or number of channels, and for
    a side of no pixels.
    """
    if isinstance(images, np.ndarray):
        if images.shape[1:] == (shape.channels, shape.height, shape.width):
            return images
        writable = images if images.flags.writeable else images.copy()  # torch warns of arrays that are read-only
        return np.ascontiguousarray(conform(torch.from_numpy(writable), shape).numpy())
    if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] not in (1, 3):
        raise UserError(f"images are uint8 (N, 1 or 3, H, W), found {images.dtype} {tuple(images.shape)}")
    return as_channels(resize(images, shape.height, shape.width), shape.channels)


def as_channels(images: Tensor, channels: int) -> Tensor:
    """(N, C, H, W) with 1 or 3 channels: grey is repeated to RGB, RGB uint8 becomes its luminance (ITU-R 601)."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.expand(-1, 3, -1, -1)
    weights = images.new_tensor([0.299, 0.587, 0.114], dtype=torch.float32).view(1, 3, 1, 1)
    return (images.float() * weights).sum(1, keepdim=True).round().clamp(0, 255).to(torch.uint8)


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Images uint8 (N, C, H, W) as uint8 (N, C, height, width); the same tensor where they are that size already.

    Bilinear, with antialiasing where a side shrinks, pixel centres at half-integers (align_corners=False), rounded.
    """
    if min(height, width) < 1:
        raise UserError(f"a side of {min(height, width)} pixels", where="side", fix="give 1 or more")
    if images.shape[2:] == (height, width):
        return images
    if width == 1 < height:  # torch's antialiasing would give every row the first one's values
        return resize(images.transpose(2, 3), width, height).transpose(2, 3)
    shrinks = height < images.shape[2] or width < images.shape[3]
    out = images.new_empty((*images.shape[:2], height, width))
    for start in range(0, len(images), BLOCK):
        block = images[start : start + BLOCK].float()
        small = interpolate(block, (height, width), mode="bilinear", align_corners=False, antialias=shrinks)
        out[start : start + BLOCK] = small.round().clamp(0, 255).to(torch.uint8)
    return out


def windowed(image: NDArray[np.uint8], form: Form) -> Windowed:
    """An image uint8 (C, H, W) of any size as windows uint8 (n, C, h, w), resized as `resize` does where it must be.

    Raises UserError for another size than that of the form's region.
    """
    height, width = image.shape[1:]
    if form.region is not None:
        try:
            image = form.region.blackened(image)
        except ValueError as error:
            raise UserError(str(error)) from error
    chosen = layout(height, width, form)
    left, top, right, bottom = chosen.box
    seen = torch.from_numpy(np.ascontiguousarray(image[None, :, top:bottom, left:right]))
    return Windowed(cut(resize(seen, *chosen.size)[0].numpy(), chosen, form), chosen, height, width)


def on_image(fitted: NDArray[np.float32], chosen: Layout, height: int, width: int) -> NDArray[np.float32]:
    """The map (H, W) of a fitted image on the pixels of the image itself, (height, width); NaN where nobody looked."""
    (top, left), (tall, wide) = chosen.corner, chosen.size
    inner = fitted[top : top + tall, left : left + wide]
    left, top, right, bottom = chosen.box
    if inner.shape != (bottom - top, right - left):
        small = Image.fromarray(inner).resize((right - left, bottom - top), Image.Resampling.BILINEAR)
        inner = np.asarray(small, np.float32)
    if chosen.box == (0, 0, width, height):
        return inner
    whole = np.full((height, width), np.nan, np.float32)
    whole[top:bottom, left:right] = inner
    return whole
