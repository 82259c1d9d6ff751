"""One image file of unknown origin to uint8 RGB, and a mask beside it to 0 and 1, with limits."""

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from workloads.data.windows import Form, Layout, Windowed, cut, layout

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
MAX_PIXELS = 50_000_000  # larger than any camera's; a file of a few kB can claim a thousand times this
DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N", "I")
BROKEN = (
    OSError,  # with Pillow's UnidentifiedImageError, and "image file is truncated"
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    Image.DecompressionBombError,
)
"""What Pillow's decoders are known to raise on a damaged file."""


class UnreadableError(Exception):
    """The file is no image that can be used; the message says why."""


def decode(path: Path | IO[bytes], side: int) -> NDArray[np.uint8]:
    """The image as RGB uint8 (3, side, side): its centre square, resized, as `decode_windows` does."""
    return decode_windows(path, Form(side, side)).windows[0]


def decode_windows(path: Path | IO[bytes], form: Form) -> Windowed:
    """The image as RGB windows of the form, uint8 (n, 3, h, w), resized (bilinear, antialiased) where the form asks.

    Turned upright by its EXIF tag; palettes and CMYK to RGB; grey repeated; 16-bit grey scaled from 0..65535 to 0..255;
    transparency laid on black, before the resizing, so that colours hidden under it do not bleed out; of an animation
    the first picture. Cutting comes first, so that a very long image cannot grow when it is resized.

    Raises UnreadableError for damaged files, other formats, floating-point images (their range is unknown) and more
    than `MAX_PIXELS` pixels, also where tiles ask for so large a one.
    """
    with _upright(path) as image:
        chosen = layout(image.height, image.width, form)
        if chosen.height * chosen.width > MAX_PIXELS:
            raise UnreadableError(
                f"{image.width}x{image.height} pixels: made as wide and high as a window of {form.width}x{form.height} "
                f"it is {chosen.width}x{chosen.height}, more than the limit of {MAX_PIXELS} pixels"
            )
        windows = cut(_fitted(_rgb(image), chosen), chosen.places, form)
        return Windowed(windows, chosen, image.height, image.width)


def decode_crop(path: Path, side: int, row: float, column: float) -> NDArray[np.uint8]:
    """A square cut from the image at its own resolution, RGB uint8 (3, side, side).

    row, column: where it lies, from 0 (top, left) to 1 (bottom, right); 0.5 and 0.5 is the centre.
    Raises UnreadableError as `decode` does, and for an image that is smaller than the cut.
    """
    with _upright(path) as image:
        if min(image.size) < side:
            raise UnreadableError(f"{image.width}x{image.height} pixels, smaller than {side}x{side}")
        left, top = round(column * (image.width - side)), round(row * (image.height - side))
        cut = _rgb(image).crop((left, top, left + side, top + side))
        return np.ascontiguousarray(np.asarray(cut, dtype=np.uint8).transpose(2, 0, 1))


def decode_mask(path: Path, image: Path, side: int) -> NDArray[np.uint8]:
    """The mask in the file `path` of the image in the file `image`: uint8 (side, side), 1 where anomalous, else 0.

    A pixel of the file is anomalous where it is not black. Cut like the image, then `resize_mask`.
    Raises UnreadableError as `decode` does, and where the mask is not of the (upright) image's size.
    """
    with _upright(image) as seen:
        size = seen.size
    with _upright(path) as mask:
        if mask.size != size:
            raise UnreadableError(f"{mask.width}x{mask.height} pixels, its image has {size[0]}x{size[1]}")
        # A deep mask may hold 0 and 1: scaled to 8 bits, the 1 would be gone.
        values = np.asarray(mask)[:, :, None] if mask.mode in DEEP_GREY else np.asarray(_rgb(mask))
    left, top, right, bottom = _centre(*size)
    return resize_mask((values[top:bottom, left:right] != 0).any(axis=2).astype(np.uint8), side)


def resize_mask(mask: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A mask of 0 and 1, uint8 (H, W), as (side, side): 1 where at least half of the old pixels in a new one are 1.

    An old pixel is in the new one that holds its centre; enlarging takes the nearest. So a defect much thinner than a
    new pixel vanishes. The same array where it is that size already.
    """
    if mask.shape == (side, side):
        return mask
    covered = Image.fromarray(mask * np.uint8(255)).resize((side, side), Image.Resampling.BOX)
    return (np.asarray(covered) >= 128).astype(np.uint8)  # half of 255 is rounded up


@contextlib.contextmanager
def _upright(path: Path | IO[bytes]) -> Iterator[Image.Image]:
    """The opened image, turned by its EXIF tag. What Pillow raises within is an UnreadableError."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableError(f"{image.width}x{image.height} pixels, more than the limit of {MAX_PIXELS}")
            yield ImageOps.exif_transpose(image)
    except BROKEN as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in DEEP_GREY:
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode == "F":
        raise UnreadableError("a floating-point image: its range is unknown")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, (0, 0, 0, 255)), seen).convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    wide = values.astype(np.int64)
    if wide.min() < 0 or wide.max() > 65535:
        raise UnreadableError(f"grey values {wide.min()} to {wide.max()} do not fit 16 bits")
    return np.rint(wide / 257).astype(np.uint8)


def _fitted(image: Image.Image, chosen: Layout) -> NDArray[np.uint8]:
    """The whole fitted image, uint8 (3, H, W)."""
    height, width = chosen.size
    small = image.resize((width, height), Image.Resampling.BILINEAR, box=chosen.box)
    if chosen.size != (chosen.height, chosen.width):
        whole = Image.new("RGB", (chosen.width, chosen.height))
        whole.paste(small, chosen.corner[::-1])
        small = whole
    return np.asarray(small, dtype=np.uint8).transpose(2, 0, 1)


def _centre(width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the centre square."""
    short = min(width, height)
    left, top = (width - short) // 2, (height - short) // 2
    return left, top, left + short, top + short
