"""A fitted method for one target, which scores anyone's images."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray

from workloads.data.catalogue import Fit
from workloads.data.conform import conform, on_image, windowed
from workloads.data.reading.decode import UnreadableError, decode_windows
from workloads.data.reading.region import Region
from workloads.data.windows import DEEPEST, Form, Windowed, stitch
from workloads.errors import UserError
from workloads.scoring.localisation import mean_maps
from workloads.scoring.table import highest_by_image
from workloads.scoring.thresholds import HeldOut, Predictions, Threshold, decided
from workloads.units import ImageShape

log = logging.getLogger(__name__)

Images = NDArray[np.uint8] | Iterable[str | PathLike[str] | NDArray[np.uint8] | Windowed]
"""uint8 (N, H, W) or (N, H, W, C) with 1 (grey) or 3 (RGB) channels, values 0 to 255; or paths of image files, arrays
(H, W) or (H, W, C) and images that `Detector.read` gave, of any sizes."""

CHUNK = 256
"""Windows that a detector is given at a time."""


@dataclass(frozen=True, eq=False)
class Inspected:
    """What a detector says of one image; higher = more anomalous.

    score: of the whole detector, the highest of the image's windows. parts: the same of every part. map: float32
    (H, W), a score a pixel of the image, the mean where windows overlap, NaN where none looks; None unless asked for.
    clipped: the share of pixels of a file above the white level, in [0, 1].
    """

    score: float
    parts: dict[str, float]
    map: NDArray[np.float32] | None = None
    clipped: float = 0.0


@dataclass(frozen=True, eq=False)
class Detector:
    """A trained detector. target: what counts as normal. shape: channels, height and width in pixels of the windows it
    learnt from; grey is repeated to RGB or RGB becomes luminance. fit, white_level: how images of other sizes and of
    more than 8 bits are brought to windows, see `workloads.data.windows.Form`. region: what of every image is ignored;
    its pixels are NaN in maps. held_out: its scores of normal images
    that it has not seen, which decisions rest on; None where there are none.
    """

    target: str
    shape: ImageShape
    method: Any = field(repr=False)
    scorers: Sequence[Any] = field(repr=False)
    fit: Fit = "crop"
    white_level: int = DEEPEST
    region: Region | None = field(default=None, repr=False)
    held_out: HeldOut | None = field(default=None, repr=False)

    @property
    def form(self) -> Form:
        return Form(self.shape.height, self.shape.width, self.fit, self.white_level, self.region)

    @property
    def usual_size(self) -> tuple[int, int]:
        """Height and width of images that it takes: those of its region, or else of a window."""
        return (self.shape.height, self.shape.width) if self.region is None else self.region.size

    @property
    def remarks(self) -> list[str]:
        """What a reader of the scores must know of this detector's config, in sentences."""
        return list(self.method.remarks())

    def score(self, images: Images) -> NDArray[np.float32]:
        """(N,) scores of the whole detector, in the order of the images; higher = more anomalous.

        images: uint8 (N, H, W) or (N, H, W, C), C is 1 or 3, values 0 to 255; or several of any sizes: arrays (H, W) or
        (H, W, C), paths of image files. Raises UserError for other arrays and for files that cannot be read.
        """
        return np.array([item.score for item in self.inspect(images)], np.float32)

    def parts(self, images: Images) -> dict[str, NDArray[np.float32]]:
        """Part of the detector, such as "level_4" or "likelihood" -> (N,) scores; images and errors as of `score`."""
        columns: dict[str, list[float]] = {}
        for item in self.inspect(images):
            for part, value in item.parts.items():
                columns.setdefault(part, []).append(value)
        return {part: np.array(values, np.float32) for part, values in columns.items()}

    def maps(self, images: Images) -> list[NDArray[np.float32]]:
        """A map of every image, (H, W) of its own size: a score a pixel, the mean of the parts that have maps; higher =
        more anomalous, NaN where no window looks. images and errors as of `score`; UserError for a method that gives no
        maps."""
        return [item.map for item in self.inspect(images, maps=True) if item.map is not None]

    def predict(self, images: Images, false_alarms: float = 0.01) -> Predictions:
        """Normal or anomalous, at a false-alarm rate in (0, 1), with scores and p-values; images and errors as of
        `score`, and UserError as of `threshold`."""
        threshold = self.threshold(false_alarms)
        return decided(self.score(images), threshold, self.normals)

    def threshold(self, false_alarms: float = 0.01) -> Threshold:
        """Above which a score is called anomalous, so that of fresh normal images like the training ones a fraction
        `false_alarms` is. Raises UserError for a rate that the held-out normal images do not support."""
        return self.normals.threshold(false_alarms)

    def calibrated(self, images: Images) -> Detector:
        """This detector, its decisions resting on other normal images, which it has not seen; as of `score`."""
        return replace(self, held_out=HeldOut(self.score(images), "normal images that were handed over"))

    @property
    def normals(self) -> HeldOut:
        """The held-out scores. Raises UserError where there are none."""
        if self.held_out is None:
            raise UserError(
                "this detector has no scores of held-out normal images that a decision could rest on",
                fix="hand over normal images that it has not seen: `calibrated`, or --normals",
            )
        return self.held_out

    @property
    def usual_rate(self) -> float:
        """1 % of false alarms, or the least that the held-out images support. Raises UserError as `normals`."""
        return max(0.01, self.normals.smallest_rate)

    def inspect(self, images: Images, *, maps: bool = False) -> Iterator[Inspected]:
        """All that is said of each image, in their order, at most a few hundred windows and one image's map in memory;
        images and errors as of `score` and, with `maps`, of `maps`."""
        if maps and not self.method.localizing(self.scorers):
            raise UserError(f"{self.method.name} scores whole images and gives no maps")
        waiting: list[Windowed] = []
        above = 0
        for image in self._windowed(images):
            above += image.clipped > 0
            waiting.append(image)
            if sum(len(item.windows) for item in waiting) >= CHUNK:
                yield from self._inspected(waiting, maps)
                waiting = []
        if waiting:
            yield from self._inspected(waiting, maps)
        if above:
            log.warning(
                "%d images hold values above the white level of %d, which became white", above, self.white_level
            )

    def read(self, file: str | PathLike[str] | IO[bytes], name: str = "") -> Windowed:
        """An image file, or its bytes, as windows, to be scored once or several times. name: for the message of the
        UserError that is raised where it cannot be read."""
        try:
            return decode_windows(Path(file) if isinstance(file, str | PathLike) else file, self.form)
        except UnreadableError as error:
            raise UserError(f"the image cannot be read: {error}", where=name or str(file)) from None

    def _windowed(self, images: Images) -> Iterator[Windowed]:
        rows: Iterable[Any] = channels_first(images) if isinstance(images, np.ndarray) else images
        for item in rows:
            if isinstance(item, Windowed):
                yield item
            elif isinstance(item, np.ndarray):
                pixels = item if isinstance(images, np.ndarray) else channels_first(item[None])[0]
                yield windowed(pixels, self.form)
            else:
                yield self.read(item)

    def _inspected(self, images: Sequence[Windowed], maps: bool) -> Iterator[Inspected]:
        """Of a few images together. Windows are scored `CHUNK` at a time."""
        pixels = [conform(image.windows, self.shape) for image in images]
        batches = torch.from_numpy(pixels[0] if len(pixels) == 1 else np.concatenate(pixels)).split(CHUNK)
        columns: dict[str, list[NDArray[np.float32]]] = {}
        for batch in batches:
            for scorer in self.scorers:
                for part, values in scorer.score(batch).items():
                    columns.setdefault(part, []).append(values)
        windows = {part: np.concatenate(values) for part, values in columns.items()}
        ends = np.cumsum([len(image.windows) for image in images])
        first = np.concatenate([[0], ends[:-1]])
        whole = highest_by_image(np.asarray(self.method.combine(windows), np.float32), first)
        parts = {part: highest_by_image(values, first) for part, values in windows.items()}
        scorers = self.method.localizing(self.scorers)
        seen = np.concatenate([mean_maps(scorers, batch) for batch in batches]) if maps else None
        for number, image in enumerate(images):
            pixel_map = None
            if seen is not None:
                fitted = stitch(seen[first[number] : ends[number]], image.layout.places)
                pixel_map = on_image(fitted, image.layout, image.height, image.width)
                if self.region is not None:
                    pixel_map = np.where(self.region.ignored, np.float32(np.nan), pixel_map)
            scores = {part: float(values[number]) for part, values in parts.items()}
            yield Inspected(float(whole[number]), scores, pixel_map, image.clipped)


def device_named(name: str | None) -> torch.device:
    """The device of a name such as "cpu" or "cuda:0"; without one a GPU where there is one."""
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


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
