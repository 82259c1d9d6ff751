"""One file that marks the anomalous pixels of an image, whatever program wrote it, as 0 and 1."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy.ndimage import maximum_filter, minimum_filter

from workloads.data.reading.decode import DEEP_GREY, UnreadableError, opened
from workloads.data.reading.region import IGNORED, Region
from workloads.data.windows import Form, cut, layout

Mask = NDArray[np.uint8]
"""0 where nothing is wrong, 1 where a pixel is anomalous; (H, W)."""

FEW = 32
"""A file without losses and with so few values marks kinds of defects by them, down to the smallest. Edges that a
program has smoothed, and JPEG's waves about them, have more."""
LOSSY = ("JPEG", "WEBP")


def decode_mask(files: Sequence[Path], height: int, width: int) -> Mask:
    """The union of the masks of an image of height x width pixels.

    A pixel is anomalous where it is at least half as bright as the brightest of its file. A lower value counts, too,
    where a file without losses has few of them and it fills an area, not just edges: then values are kinds of defects.
    A file that says it by its transparency alone, or by palette numbers without a black colour, is read so.

    Raises UnreadableError as `decode` does, where a mask is not of the image's size, and where it is not clear what it
    marks: both its colours and its transparency vary, or a lossy file has areas that are a quarter to half as bright.
    """
    whole = np.zeros((height, width), np.uint8)
    for file in files:
        with opened(file) as image:
            values = _values(image)
            if values.shape != whole.shape:
                raise UnreadableError(
                    f"{values.shape[1]}x{values.shape[0]} pixels, its image has {width}x{height} ({file.name})"
                )
            whole |= marked(values, lossy=image.format in LOSSY)
    return whole


def marked(values: NDArray[np.integer], *, lossy: bool) -> Mask:
    """Which pixels grey values (H, W), 0 or more, mark; see `decode_mask`."""
    top = int(values.max())
    if not top:
        return np.zeros(values.shape, np.uint8)
    bright = values >= (top + 1) // 2
    kinds = not lossy and len(np.unique(values)) <= FEW
    low = (values >= (1 if kinds else (top + 3) // 4)) & ~bright
    areas = (
        np.unique(values[low & _flat(values, 0 if kinds else top // 32)]) if low.any() else np.empty(0, values.dtype)
    )
    if len(areas) and not kinds:
        raise UnreadableError(
            f"areas of the grey value {areas[0]}, and the brightest is {top}: whether they are marked cannot be told; "
            "save masks without losses, as PNG, and marked pixels white"
        )
    return (bright | np.isin(values, areas)).astype(np.uint8)


def _flat(values: NDArray[np.integer], tolerance: int) -> NDArray[np.bool_]:
    """Pixels that differ from their eight neighbours by no more than that: within an area, not on an edge."""
    spread = maximum_filter(values, 3, mode="nearest") - minimum_filter(values, 3, mode="nearest")
    flat: NDArray[np.bool_] = spread <= tolerance
    return flat


def _values(image: Image.Image) -> NDArray[np.integer]:
    """Grey values (H, W) of the upright mask, 0 where it marks nothing. A deep one is not scaled to 8 bits: it may hold
    0 and 1."""
    if image.mode in DEEP_GREY:
        return np.asarray(ImageOps.exif_transpose(image))
    if image.mode == "F":
        raise UnreadableError("a floating-point mask: what it marks cannot be told")
    if image.mode == "P" and "transparency" not in image.info:
        return _of_palette(ImageOps.exif_transpose(image))
    seen = ImageOps.exif_transpose(image).convert("RGBA")
    pixels = np.asarray(seen)
    colours, alpha = pixels[..., :3].max(axis=2), pixels[..., 3]
    if (alpha == alpha.flat[0]).all():
        return colours
    shown = colours[alpha > 0]
    if (shown == shown[0]).all():
        return alpha
    raise UnreadableError("its colours and its transparency both vary: which of them is the mask cannot be told")


def _of_palette(image: Image.Image) -> NDArray[np.integer]:
    """Brightness where one palette number is black; else the numbers, for then the colours mean nothing."""
    numbers, colours = np.asarray(image), np.asarray(image.convert("RGB")).max(axis=2)
    return colours if len(np.unique(numbers[colours == 0])) == 1 else numbers


def fitted_mask(mask: Mask, form: Form) -> NDArray[np.uint8]:
    """A mask as windows, uint8 (n, h, w), cut as its image is by the form; `IGNORED` in the form's region."""
    if form.region is None:
        return _cut(mask, form)
    ignored = form.region.ignored
    windows = _cut(np.where(ignored, np.uint8(0), mask), form)
    windows[_cut(ignored.astype(np.uint8), form) > 0] = IGNORED
    return windows


def _cut(mask: Mask, form: Form) -> NDArray[np.uint8]:
    height, width = mask.shape
    chosen = layout(height, width, form)
    left, top, right, bottom = chosen.box
    return cut(resize_mask(mask[top:bottom, left:right], *chosen.size)[None], chosen, form)[:, 0]


def read_region(file: Path) -> Region:
    """The region that a file of an image's size marks. Raises UnreadableError, also where it marks nothing, or all."""
    with opened(file) as image:
        ignored = marked(_values(image), lossy=image.format in LOSSY).astype(np.bool_)
    if ignored.all() or not ignored.any():
        raise UnreadableError("it marks everything" if ignored.all() else "it marks nothing")
    return Region.of(ignored)


def resize_mask(mask: Mask, height: int, width: int) -> Mask:
    """A mask (H, W) as (height, width): 1 where at least half of the old pixels in a new one are 1.

    An old pixel is in the new one that holds its centre; enlarging takes the nearest. So a defect much thinner than a
    new pixel vanishes. The same array where it is that size already.
    """
    if mask.shape == (height, width):
        return mask
    covered = Image.fromarray(mask * np.uint8(255)).resize((width, height), Image.Resampling.BOX)
    return (np.asarray(covered) >= 128).astype(np.uint8)  # half of 255 is rounded up
