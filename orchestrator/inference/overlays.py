"""An image's map as files: the raw numbers, and colours laid on the image."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.inference.sources import file_under
from workloads.data.reading.decode import decode_windows
from workloads.data.reading.listing import ImageFile
from workloads.data.windows import Form

STRONGEST = 0.7
"""Opacity of the highest pixel of an image that no held-out normal one scores as high as."""
STEEPNESS = 8
"""Opacity falls with 1 less the share of held-out normal images at or above the image's score to this power: an image
like the normal ones shows next to nothing, though its map has a highest pixel, too."""


def write_map(folder: Path, file: ImageFile, values: NDArray[np.float32], share: float, white_level: int) -> None:
    """NAME.npy (float32 (H, W), higher = more anomalous, NaN where no window looks) and NAME.overlay.png below the
    folder. share: as of `overlay`. white_level: of an image of more than 8 bits, as the detector sees it."""
    from PIL import Image

    raw, picture = (file_under(folder, file.name, ending) for ending in (".npy", ".overlay.png"))
    raw.parent.mkdir(parents=True, exist_ok=True)
    np.save(raw, values)
    with file.open() as opened:
        image = decode_windows(opened, Form(values.shape[0], values.shape[1], "squeeze", white_level)).windows[0]
    Image.fromarray(overlay(image, values, share)).save(picture)


def overlay(image: NDArray[np.uint8], values: NDArray[np.float32], share: float) -> NDArray[np.uint8]:
    """RGB uint8 (H, W, 3): the image (3, H, W) in grey under the colours of its map (H, W), between the map's median
    and its maximum. share: of held-out normal images that score at or above the image, in [0, 1]."""
    from matplotlib import colormaps

    low, high = np.nanmedian(values), np.nanmax(values)
    relative = np.nan_to_num((values - low) / max(float(high - low), 1e-12)).clip(0, 1)
    opacity = (STRONGEST * (1 - share) ** STEEPNESS * relative)[:, :, None]
    grey = image.mean(0, dtype=np.float32)[:, :, None].repeat(3, 2)
    colours = colormaps["plasma"](relative)[:, :, :3] * 255
    mixed: NDArray[np.uint8] = (grey * (1 - opacity) + colours * opacity).round().astype(np.uint8)
    return mixed
