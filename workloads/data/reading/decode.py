"""One image file of unknown origin to uint8 RGB windows, with limits."""

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from workloads.data.windows import DEEPEST, Form, Windowed, cut, layout
from workloads.errors import of_the_machine
from workloads.files import naming

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
MAX_PIXELS = 50_000_000  # larger than any camera's; a file of a few kB can claim a thousand times this
DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N", "I")
DEPTHS = (8, 10, 12, 14, 16)  # bits of what cameras write into files of 16
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

    Turned upright by its EXIF tag; palettes and CMYK to RGB; grey repeated; more than 8 bits scaled from 0 to the
    form's white level to 0..255, values above it counted; transparency laid on black, before the resizing, so that
    colours hidden under it do not bleed out; of an animation the first picture. Cutting comes first, so that a very
    long image cannot grow when it is resized.

    Raises UnreadableError for damaged files, other formats, floating-point images (their range is unknown), colours of
    16 bits that Pillow reads 8 of where the white level asks for the others, more than `MAX_PIXELS` pixels, also where
    tiles ask for so large an image, and another size than that of the form's region.
    """
    with opened(path) as file:
        picture, clipped = upright(file, form.white_level)
        chosen = layout(picture.height, picture.width, form)
        if chosen.height * chosen.width > MAX_PIXELS:
            raise UnreadableError(
                f"{picture.width}x{picture.height} pixels: as wide and high as a window of {form.width}x{form.height} "
                f"it is {chosen.width}x{chosen.height}, more than the limit of {MAX_PIXELS} pixels"
            )
        small = _blackened(_rgb(picture), form).resize(chosen.size[::-1], Image.Resampling.BILINEAR, box=chosen.box)
        windows = cut(np.asarray(small, np.uint8).transpose(2, 0, 1), chosen, form)
        return Windowed(windows, chosen, picture.height, picture.width, clipped)


def _blackened(image: Image.Image, form: Form) -> Image.Image:
    """The RGB image, the form's region black. Raises UnreadableError for one of another size."""
    if form.region is None:
        return image
    try:
        pixels = form.region.blackened(np.asarray(image).transpose(2, 0, 1))
    except ValueError as error:
        raise UnreadableError(str(error)) from error
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def decode_crop(path: Path, side: int, row: float, column: float) -> NDArray[np.uint8]:
    """A square cut from the image at its own resolution, RGB uint8 (3, side, side).

    row, column: where it lies, from 0 (top, left) to 1 (bottom, right); 0.5 and 0.5 is the centre.
    Raises UnreadableError as `decode` does, and for an image that is smaller than the cut.
    """
    with opened(path) as file:
        image, _ = upright(file, DEEPEST)
        if min(image.size) < side:
            raise UnreadableError(f"{image.width}x{image.height} pixels, smaller than {side}x{side}")
        left, top = round(column * (image.width - side)), round(row * (image.height - side))
        square = _rgb(image).crop((left, top, left + side, top + side))
        return np.ascontiguousarray(np.asarray(square, dtype=np.uint8).transpose(2, 0, 1))


def size_of(path: Path) -> tuple[int, int]:
    """Height and width of the image as it lies in the file, not turned, from its header. Raises UnreadableError."""
    with opened(path) as image:
        return image.height, image.width


def largest_value(path: Path) -> int | None:
    """The largest value of an image of more than 8 bits, as far as it can be read; None of all others. Raises
    UnreadableError."""
    with opened(path) as image:
        if image.format == "PPM" or not (image.mode in DEEP_GREY or _deep_colour(image)):
            return None
        values = np.asarray(image) if image.mode in DEEP_GREY else _colour_values(image)
        return int(values.max())


def white_level_of(largest: int) -> int:
    """The white level of images whose largest value is known: the largest of 8, 10, 12, 14 or 16 bits that holds it."""
    return next(2**bits - 1 for bits in DEPTHS if largest < 2**bits or bits == DEPTHS[-1])


@contextlib.contextmanager
def opened(path: Path | IO[bytes]) -> Iterator[Image.Image]:
    """The image as it lies in the file. What Pillow raises within is an UnreadableError; what the machine refuses says
    nothing of the image, and passes."""
    try:
        with (
            naming(path if isinstance(path, Path) else str(getattr(path, "name", ""))),
            Image.open(path, formats=FORMATS) as image,
        ):
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableError(f"{image.width}x{image.height} pixels, more than the limit of {MAX_PIXELS}")
            yield image
    except BROKEN as error:
        if isinstance(error, OSError) and of_the_machine(error):
            raise
        raise UnreadableError(f"{type(error).__name__}: {error}") from error


def upright(image: Image.Image, white_level: int) -> tuple[Image.Image, float]:
    """The image turned by its EXIF tag, values from 0 to 255; and the share of its pixels above the white level, by
    which more than 8 bits are scaled."""
    if image.format == "PPM":  # Pillow brings its range, which the file states, to 16 bits
        white_level = DEEPEST
    if image.mode in DEEP_GREY:
        values = _sixteen_bits(np.asarray(ImageOps.exif_transpose(image)))
        return _scaled(values, white_level), float((values > white_level).mean())
    if _deep_colour(image) and (image.format == "PNG" or white_level < DEEPEST):
        values = _colour_values(image, white_level)
        scaled = _scaled(values, white_level)
        scaled.info["exif"] = image.info.get("exif", b"")
        return ImageOps.exif_transpose(scaled), float((values > white_level).any(axis=2).mean())
    return ImageOps.exif_transpose(image), 0.0


def _scaled(values: NDArray[np.uint16], white_level: int) -> Image.Image:
    levels = np.arange(DEEPEST + 1)
    return Image.fromarray(np.rint(levels * 255 / white_level).clip(0, 255).astype(np.uint8)[values])


def _deep_colour(image: Image.Image) -> bool:
    """Whether colours have 16 bits, of which Pillow would read the upper 8."""
    tiles = getattr(image, "tile", ())
    return image.mode not in DEEP_GREY and any(";16" in str(tile[3]) for tile in tiles)


def _colour_values(image: Image.Image, white_level: int = DEEPEST) -> NDArray[np.uint16]:
    """(H, W, 1 to 4) values of 16-bit colours. Raises UnreadableError where only 8 bits can be had, and more are asked
    for."""
    if image.format != "PNG":
        if white_level < DEEPEST:
            raise UnreadableError(
                f"colours of 16 bits in {image.format}, of which only the upper 8 can be read, and the white level is "
                f"{white_level}: convert it to PNG"
            )
        return np.asarray(image).astype(np.uint16) * 257
    import torch
    from torchvision.io import ImageReadMode, decode_png  # takes a while, and nearly nobody needs it

    file: IO[bytes] = image.fp  # type: ignore[attr-defined]
    file.seek(0)
    try:
        pixels = decode_png(torch.frombuffer(bytearray(file.read()), dtype=torch.uint8), ImageReadMode.UNCHANGED)
    except RuntimeError as error:
        raise UnreadableError(str(error)) from error
    values: NDArray[np.uint16] = pixels.numpy().transpose(1, 2, 0)
    return values


def _sixteen_bits(values: NDArray[np.number]) -> NDArray[np.uint16]:
    if values.min() < 0 or values.max() > DEEPEST:
        raise UnreadableError(f"grey values {values.min()} to {values.max()} do not fit 16 bits")
    return values.astype(np.uint16)


def _rgb(image: Image.Image) -> Image.Image:
    """With transparency laid on black. Of 8 bits already."""
    if image.mode == "F":
        raise UnreadableError("a floating-point image: its range is unknown")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, (0, 0, 0, 255)), seen).convert("RGB")
    return image.convert("RGB")
