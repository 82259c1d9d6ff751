"""A contact sheet: some images of a prepared set for the eye."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from orchestrator.data.auxiliary.manifest import Manifest, open_set
from orchestrator.data.auxiliary.reading import pixels, row_group
from workloads.figures import image_grid
from workloads.training.seeds import derive_seed


def sheet_of(path: str, file: Path, count: int, seed: int) -> Manifest:
    """Draw `count` images of the prepared set at a path or URI on a sheet, a .png file. Raises UserError where no
    finished set lies there."""
    manifest = open_set(path)
    write_sheet(some_images(manifest, count, seed), file)
    return manifest


def write_sheet(images: NDArray[np.uint8], file: Path) -> None:
    """uint8 (N, C, S, S) as a .png, about as wide as high."""
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = math.ceil(math.sqrt(len(images)))
    Image.fromarray(image_grid(torch.from_numpy(images), columns)).save(file, "PNG")


def some_images(manifest: Manifest, count: int, seed: int) -> NDArray[np.uint8]:
    """uint8 (count, C, S, S): images drawn evenly over the set, all of them where it has fewer."""
    layout = manifest.layout
    groups = [(shard, g, rows) for shard in manifest.shards for g, rows in enumerate(shard.groups)]
    bounds = np.cumsum([0, *(rows for _, _, rows in groups)])
    random = np.random.default_rng(derive_seed("sheet", seed))
    chosen = np.sort(random.choice(bounds[-1], min(count, bounds[-1]), replace=False))

    def picked() -> Iterator[NDArray[np.uint8]]:
        for number in np.unique(np.searchsorted(bounds, chosen, "right") - 1):
            shard, group, _ = groups[number]
            batch = row_group(str(manifest.file(shard)), group)
            rows = chosen[(chosen >= bounds[number]) & (chosen < bounds[number + 1])] - bounds[number]
            yield pixels(batch.column("image"))[rows]

    return np.concatenate(list(picked())).reshape(-1, layout.channels, layout.side, layout.side)
