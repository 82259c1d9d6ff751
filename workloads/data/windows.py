"""How an image of any shape becomes windows of one shape, and how maps of the windows become the image's again."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.data.catalogue import Fit
from workloads.data.reading.region import Region

Places = NDArray[np.int32]
"""(N, 4): top and left of a window in its fitted image, and that image's height and width, pixels."""
DEEPEST = 65535
"""The largest value of a 16-bit image."""


@dataclass(frozen=True)
class Form:
    """What images are brought to, and what windows are cut from. height, width: of a window, pixels.

    fit: "crop" takes the middle of the image, as large as it can be in the window's ratio; "squeeze" the whole image,
    its ratio changed; "pad" the whole image in its ratio, black around it. Each gives one window. "tiles" gives windows
    at the image's own resolution that cover all of it, as few as do, evenly spread, the last ending at the border; only
    an image that is lower or narrower than a window is enlarged until it is not.
    white_level: the value of an image of more than 8 bits that becomes 255. region: what of every image is made black
    before windows are cut; None where all of it counts.
    """

    height: int
    width: int
    fit: Fit = "crop"
    white_level: int = DEEPEST
    region: Region | None = None


@dataclass(frozen=True)
class Layout:
    """Where the windows of one image lie. All in pixels.

    box: left, top, right and bottom of what is seen of the image. size: height and width that this is brought to.
    corner: top and left of it in the fitted image, which is black around it. height, width: of the fitted image.
    places: its windows.
    """

    box: tuple[int, int, int, int]
    size: tuple[int, int]
    corner: tuple[int, int]
    height: int
    width: int
    places: Places


@dataclass(frozen=True, eq=False)
class Windowed:
    """An image as windows. windows: uint8 (n, C, h, w). height, width: of the image. clipped: the share of its pixels
    that were above the white level and became 255, in [0, 1]."""

    windows: NDArray[np.uint8]
    layout: Layout
    height: int
    width: int
    clipped: float = 0.0


def layout(height: int, width: int, form: Form) -> Layout:
    """The layout of an image of height x width pixels."""
    whole, window = (0, 0, width, height), (form.height, form.width)
    if form.fit == "tiles":
        fitted = tiled_size(height, width, form)
        return Layout(whole, fitted, (0, 0), *fitted, _tiles(*fitted, form))
    places = np.array([[0, 0, *window]], np.int32)
    if form.fit == "pad":
        scale = min(form.height / height, form.width / width)
        size = max(1, round(height * scale)), max(1, round(width * scale))
        corner = (form.height - size[0]) // 2, (form.width - size[1]) // 2
        return Layout(whole, size, corner, *window, places)
    box = whole if form.fit == "squeeze" else _middle(height, width, form)
    return Layout(box, window, (0, 0), *window, places)


def tiled_size(height: int, width: int, form: Form) -> tuple[int, int]:
    """Height and width of an image that is cut into tiles: its own, or as much larger as the window asks for."""
    scale = max(1.0, form.height / height, form.width / width)
    return max(form.height, round(height * scale)), max(form.width, round(width * scale))


def window_count(height: int, width: int, form: Form) -> int:
    """Windows of an image of height x width pixels."""
    if form.fit != "tiles":
        return 1
    tall, wide = tiled_size(height, width, form)
    return math.ceil(tall / form.height) * math.ceil(wide / form.width)


def _middle(height: int, width: int, form: Form) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the middle of an image, as large as it can be in the form's ratio."""
    tall = max(1, min(height, width * form.height // form.width))
    wide = max(1, min(width, height * form.width // form.height))
    left, top = (width - wide) // 2, (height - tall) // 2
    return left, top, left + wide, top + tall


def _tiles(height: int, width: int, form: Form) -> Places:
    tops, lefts = _starts(height, form.height), _starts(width, form.width)
    places = np.empty((len(tops) * len(lefts), 4), np.int32)
    places[:, 0], places[:, 1] = np.repeat(tops, len(lefts)), np.tile(lefts, len(tops))
    places[:, 2:] = height, width
    return places


def _starts(length: int, window: int) -> NDArray[np.int64]:
    return np.rint(np.linspace(0, length - window, math.ceil(length / window))).astype(np.int64)


def cut(seen: NDArray[np.uint8], chosen: Layout, form: Form) -> NDArray[np.uint8]:
    """The windows (n, C, h, w) of what is seen of an image, (C, H, W) of the layout's size; black around it."""
    if chosen.size != (chosen.height, chosen.width):
        (top, left), (tall, wide) = chosen.corner, chosen.size
        seen = np.pad(seen, ((0, 0), (top, chosen.height - tall - top), (left, chosen.width - wide - left)))
    return np.stack([seen[:, top : top + form.height, left : left + form.width] for top, left, _, _ in chosen.places])


def stitch(maps: NDArray[np.float32], places: Places) -> NDArray[np.float32]:
    """The map (H, W) of a fitted image from the maps (n, h, w) of its windows: their mean where they overlap.

    A pixel that lies in no window is NaN.
    """
    (height, width), (tall, wide) = places[0, 2:], maps.shape[1:]
    total, count = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for (top, left, _, _), values in zip(places.tolist(), maps, strict=True):
        total[top : top + tall, left : left + wide] += values
        count[top : top + tall, left : left + wide] += 1
    with np.errstate(invalid="ignore"):
        total /= count
    return total
