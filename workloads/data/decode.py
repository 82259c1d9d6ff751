"""One image file of unknown origin to uint8 RGB, with limits."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

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


def decode(path: Path, side: int) -> NDArray[np.uint8]:
    """The image as RGB uint8 (3, side, side): its centre square, resized (bilinear, antialiased).

    Turned upright by its EXIF tag; palettes and CMYK to RGB; grey repeated; 16-bit grey scaled from 0..65535 to 0..255;
    transparency laid on black, before the resizing, so that colours hidden under it do not bleed out; of an animation
    the first picture. Cropping to the square comes first, so that a very long image cannot grow when it is resized.

    Raises UnreadableError for damaged files, other formats, floating-point images (their range is unknown) and more
    than `MAX_PIXELS` pixels.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableError(f"{image.width}x{image.height} pixels, more than the limit of {MAX_PIXELS}")
            return _square(_rgb(ImageOps.exif_transpose(image)), side)
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


def _square(image: Image.Image, side: int) -> NDArray[np.uint8]:
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    box = (left, top, left + short, top + short)
    small = image.resize((side, side), Image.Resampling.BILINEAR, box=box)
    return np.ascontiguousarray(np.asarray(small, dtype=np.uint8).transpose(2, 0, 1))
