"""Slices of BraTS 2018 as image files: ``lgg`` and ``hgg`` to learn from, ``valid`` to be tested on.

As Schirrmeister et al. (2006.10848) take them: cut, not resized; grey repeated to three channels. Their training images
were cut anew at random each time; here each has one cut, which its name decides, so that every method sees the same.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.data.images import Dataset
from workloads.data.reading.decode import decode_crop
from workloads.data.reading.folder import Listed, as_dataset, decode_all, file_id, images_under
from workloads.data.reading.published_files import not_here
from workloads.training.seeds import derive_seed

FOLDERS = {"train": ("lgg", "hgg"), "test": ("valid",)}
SLICE = "slice"


def brats(name: str, data_dir: Path, side: int) -> Dataset:
    """``brats`` or ``brats_<modality>``: RGB uint8 (N, 3, side, side), one class; ids are paths of the files.

    A random cut of side x side pixels of each training slice, the centre of each test slice. A file is of a modality
    where that is a word of its path: ``lgg/case1_t1ce_80.jpg``, ``valid/flair/7.png``.
    Raises UserError where a split has no file of the modality, UserError as `folder.decode_all` does, slices
    smaller than the cut counting as unreadable.
    """
    root, modality = data_dir / "brats", name.removeprefix("brats").removeprefix("_")
    resolved = root.resolve()
    listing = [
        Listed(split, SLICE, file)
        for split, folders in FOLDERS.items()
        for folder in folders
        for file in images_under(resolved / folder)
        if not modality or modality in re.split("[^a-z0-9]+", file_id(file, resolved).lower())
    ]
    missing = [split for split in FOLDERS if not any(item.split == split for item in listing)]
    if missing:
        wanted = " and ".join(f"{', '.join(FOLDERS[split])} ({split})" for split in missing)
        reason = f"{root} has no {modality or 'image'} files in {wanted}"
        raise not_here(name, (root,), [reason] if root.is_dir() else [])

    def cut(path: Path, size: int) -> NDArray[np.uint8]:
        if path.relative_to(resolved).parts[0] in FOLDERS["test"]:
            return decode_crop(path, size, 0.5, 0.5)
        row, column = np.random.default_rng(derive_seed("brats", file_id(path, resolved))).random(2)
        return decode_crop(path, size, float(row), float(column))

    return as_dataset(name, (SLICE,), *decode_all(listing, (SLICE,), resolved, side, cut))
