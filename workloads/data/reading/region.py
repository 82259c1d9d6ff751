"""A region of a camera's images that is not looked at: its pixels are black in all images, whatever they show.

So a detector that learnt from such images gives scores in which the region plays no part, in training as in use.
"""

import base64
import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

IGNORED = 2
"""The value of a mask's pixel that is neither anomalous nor normal, because nobody looks at it."""


@dataclass(frozen=True)
class Region:
    """text: "HEIGHTxWIDTH:BITS", as a ledger keeps it: the images' size in pixels, and their pixels row by row, 1 where
    they are ignored, eight to a byte, by zlib and base 64."""

    text: str

    @classmethod
    def of(cls, ignored: NDArray[np.bool_]) -> "Region":
        """From (H, W), true where a pixel is ignored."""
        bits = base64.b64encode(zlib.compress(np.packbits(ignored).tobytes(), 9)).decode()
        return cls(f"{ignored.shape[0]}x{ignored.shape[1]}:{bits}")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        height, width = self.text.partition(":")[0].split("x")
        return int(height), int(width)

    @property
    def ignored(self) -> NDArray[np.bool_]:
        """(H, W), true where a pixel is ignored; it cannot be written to."""
        return unpacked(self)

    def blackened(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Pixels (..., H, W) with the region black. Raises ValueError for another size."""
        if pixels.shape[-2:] != self.size:
            (tall, wide), (height, width) = pixels.shape[-2:], self.size
            raise ValueError(f"{wide}x{tall} pixels, and the region to ignore is of images of {width}x{height}")
        return np.where(self.ignored, np.uint8(0), pixels)


@lru_cache(maxsize=4)
def unpacked(region: Region) -> NDArray[np.bool_]:
    height, width = region.size
    bits = np.frombuffer(zlib.decompress(base64.b64decode(region.text.partition(":")[2])), np.uint8)
    ignored = np.unpackbits(bits, count=height * width).reshape(height, width).astype(np.bool_)
    ignored.setflags(write=False)  # all that ask for it share it
    return ignored
