"""A fitted method for one target, which scores anyone's images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from workloads.data.conform import conform
from workloads.data.reading.decode import UnreadableError, decode
from workloads.errors import UserError
from workloads.units import ImageShape

Images = NDArray[np.uint8] | Sequence[str | PathLike[str]]
"""uint8 (N, H, W) or (N, H, W, C) with 1 (grey) or 3 (RGB) channels, values 0 to 255; or paths of image files."""

CHUNK = 256
"""Images in memory at a time, brought to the detector's shape."""


@dataclass(frozen=True, eq=False)
class Detector:
    """A trained detector. target: what counts as normal. shape: channels, height and width in pixels of the images that
    it learnt from; others are brought to it: resized (bilinear, antialiased), grey repeated to RGB or RGB to luminance.
    """

    target: str
    shape: ImageShape
    method: Any = field(repr=False)
    scorers: Sequence[Any] = field(repr=False)

    @property
    def remarks(self) -> list[str]:
        """What a reader of the scores must know of this detector's config, in sentences."""
        return list(self.method.remarks())

    def score(self, images: Images) -> NDArray[np.float32]:
        """(N,) scores of the whole detector, in the order of the images; higher = more anomalous.

        images: uint8 (N, H, W) or (N, H, W, C), C is 1 or 3, values 0 to 255; or paths of image files, of which the
        centre square is taken. Raises UserError for other arrays and for files that cannot be read.
        """
        parts = self.parts(images)
        return np.asarray(self.method.combine(parts), np.float32) if parts else np.zeros(0, np.float32)

    def parts(self, images: Images) -> dict[str, NDArray[np.float32]]:
        """Part of the detector, such as "level_4" or "likelihood" -> (N,) scores; images and errors as of `score`."""
        columns: dict[str, list[NDArray[np.float32]]] = {}
        rows = images if isinstance(images, np.ndarray) else list(images)
        for start in range(0, len(rows), CHUNK):
            batch = torch.from_numpy(conform(self._pixels(rows[start : start + CHUNK]), self.shape))
            for scorer in self.scorers:
                for part, values in scorer.score(batch).items():
                    columns.setdefault(part, []).append(values)
        return {part: np.concatenate(values) for part, values in columns.items()}

    def maps(self, images: Images) -> NDArray[np.float32]:
        """(N, H, W) scores of the pixels of images brought to the detector's shape, the mean of the parts that have
        maps; higher = more anomalous. images and errors as of `score`; UserError for a method that gives no maps.
        """
        scorers = self.method.localizing(self.scorers)
        if not scorers:
            raise UserError(f"{self.method.name} scores whole images and gives no maps")
        rows = images if isinstance(images, np.ndarray) else list(images)
        parts = [np.zeros((0, self.shape.height, self.shape.width), np.float32)]
        for start in range(0, len(rows), CHUNK):
            batch = torch.from_numpy(conform(self._pixels(rows[start : start + CHUNK]), self.shape))
            parts.append(torch.stack([scorer.maps(batch).float() for scorer in scorers]).mean(0).cpu().numpy())
        return np.concatenate(parts)

    def _pixels(self, images: Any) -> NDArray[np.uint8]:
        """(N, C, H, W)."""
        if isinstance(images, np.ndarray):
            return channels_first(images)
        return np.stack([self.read(Path(path)) for path in images])

    def read(self, path: Path) -> NDArray[np.uint8]:
        """The centre square of an image file, RGB uint8 (3, side, side) of the detector's side. Raises UserError."""
        if self.shape.height != self.shape.width:
            raise UserError(
                f"files are cut to squares, and this detector's images are {self.shape.height} x {self.shape.width}",
                fix="read them, and give arrays",
            )
        try:
            return decode(path, self.shape.side)
        except UnreadableError as error:
            raise UserError(f"the image cannot be read: {error}", where=str(path)) from None


def channels_first(images: NDArray[Any], name: str = "images") -> NDArray[np.uint8]:
    """Images (N, H, W) or (N, H, W, C) as uint8 (N, C, H, W), C is 1 or 3.

    name: of the argument, for messages. Raises UserError, with the fix, for every other array.
    """
    shape = getattr(images, "shape", None)
    if not isinstance(images, np.ndarray):
        raise UserError(f"a NumPy array is needed, not {type(images).__name__}", where=name, fix="numpy.asarray(...)")
    if images.dtype != np.uint8:
        fix = "from [0, 1]: (images * 255).round().astype(numpy.uint8)"
        raise UserError(f"pixels are uint8, 0 to 255, and these are {images.dtype}", where=name, fix=fix)
    if images.ndim == 4 and images.shape[3] in (1, 3):
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    if images.ndim == 3 and images.shape[2] not in (1, 3):
        return images[:, None]
    if images.ndim == 4 and images.shape[1] in (1, 3):
        fix = "channels come last: images.transpose(0, 2, 3, 1)"
    elif images.ndim == 4 and images.shape[3] == 4:
        fix = "leave transparency out: images[..., :3]"
    else:
        fix = "a single image needs a first axis: images[None]"
    raise UserError(f"images are (N, H, W) or (N, H, W, C) with C 1 or 3, and these are {shape}", where=name, fix=fix)
