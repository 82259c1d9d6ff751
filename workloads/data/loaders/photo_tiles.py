"""General images that need no download: tiles of the two photographs that scikit-learn ships.

Two photographs are no image distribution: a model of these tiles knows smooth sky, stone and petals. It shows how the
methods work where nothing can be fetched; numbers made with it compare with no paper.
"""

import numpy as np
from numpy.typing import NDArray

from workloads.data.catalogue import SOURCES
from workloads.data.conform import conform
from workloads.errors import UserError
from workloads.training.seeds import derive_seed
from workloads.units import ImageShape

TILES = SOURCES["photo_tiles"].images  # where no number is given
SCALES = (1, 2, 4)  # a tile is a square of scale x side pixels, shrunk to side
AT_ONCE = 256  # tiles shrunk at a time

Images = NDArray[np.uint8]


def photo_tiles(side: int, count: int, val_count: int, seed: int) -> tuple[Images, Images]:
    """Train and val tiles, uint8 (count - val_count, 3, side, side) and (val_count, 3, side, side).

    Photograph, place and scale of each tile are drawn at random from the seed; a scale is used where its squares fit.
    Val tiles come from the middle columns of both photographs and train tiles from those on either side, in the ratio
    of their numbers, so they share no pixel. Raises UserError where no square of `side` pixels fits in a part.
    """
    outer, middle = [], []
    for photograph in _photographs():
        width = photograph.shape[2]
        held_out = round(width * val_count / count)
        left = (width - held_out) // 2
        outer += [photograph[:, :, :left], photograph[:, :, left + held_out :]]
        middle.append(photograph[:, :, left : left + held_out])
    return _tiles(outer, side, count - val_count, seed, "train"), _tiles(middle, side, val_count, seed, "val")


def _photographs() -> list[Images]:
    """uint8 (3, 427, 640) each."""
    from sklearn.datasets import load_sample_images  # takes a while, and the other sources do without

    return [np.ascontiguousarray(image.transpose(2, 0, 1)) for image in load_sample_images().images]


def _tiles(regions: list[Images], side: int, count: int, seed: int, part: str) -> Images:
    height, width = (min(region.shape[axis] for region in regions) for axis in (1, 2))
    scales = [scale for scale in SCALES if scale * side <= min(height, width)]
    if not scales:
        raise UserError(
            f"no {side}x{side} tile fits in the {part} part of the photographs, {height}x{width} pixels",
            where="general",
            fix="use a smaller side or another val_fraction",
        )
    random = np.random.default_rng(derive_seed("photo_tiles", part, seed))
    chosen, drawn = random.integers(len(regions), size=count), random.choice(scales, size=count)
    places = random.random((count, 2))
    tiles = np.empty((count, 3, side, side), np.uint8)
    for scale in scales:
        rows, size = np.flatnonzero(drawn == scale), scale * side
        for some in (rows[i : i + AT_ONCE] for i in range(0, len(rows), AT_ONCE)):
            squares = [_square(regions[chosen[row]], size, *places[row]) for row in some]
            tiles[some] = conform(np.stack(squares), ImageShape(3, side, side))
    return tiles


def _square(region: Images, size: int, row: float, column: float) -> Images:
    """The square at a place from 0 (top, left) to less than 1."""
    top, left = (int(at * (extent - size + 1)) for at, extent in zip((row, column), region.shape[1:], strict=True))
    return region[:, top : top + size, left : left + size]
