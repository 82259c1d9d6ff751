"""Omniglot's drawings: the background set is train, the evaluation set test, in the published folders."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from workloads.data.images import Dataset
from workloads.data.reading.folder import Listed, as_dataset, decode_all, images_under
from workloads.data.reading.published_files import place_of

FOLDERS = ("omniglot-py", "omniglot")
SETS = {"train": "images_background", "test": "images_evaluation"}
CHARACTER = "character"


def omniglot(data_dir: Path, side: int) -> Dataset:
    """Grey uint8 (N, 1, side, side), black strokes on white as published, 19,280 + 13,180; ids are paths of the files.

    One class, for the two sets share no alphabet. Raises UserError where no place has both sets, UserError
    as `folder.decode_all` does.
    """
    places = tuple(data_dir / name for name in FOLDERS)
    root = place_of(
        "omniglot", places, lambda p: [name for name in SETS.values() if not images_under(p / name)]
    ).resolve()
    listing = [Listed(split, CHARACTER, file) for split, name in SETS.items() for file in images_under(root / name)]
    images, kept = decode_all(listing, (CHARACTER,), root, side)
    grey = replace(images, images=np.ascontiguousarray(images.images[:, :1]))  # decoded as RGB, three times the same
    return as_dataset("omniglot", (CHARACTER,), grey, kept)
