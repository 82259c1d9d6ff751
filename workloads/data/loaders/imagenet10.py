"""ImageNet10: ten classes of ImageNet in ``train/`` and ``val/`` (or ``test/``), by class name or WordNet id.

That the ten classes of DROCC's subset are those of Imagenette is this project's reading; no paper lists them. Nor is it
known that Imagenette's division into train and val is the one that the published numbers were measured on.
"""

from pathlib import Path

import numpy as np

from workloads.data.catalogue import entry
from workloads.data.images import Dataset
from workloads.data.reading.facts import IMAGENET10_WNIDS
from workloads.data.reading.folder import Listed, class_images, decode_all
from workloads.errors import data_missing

FOLDERS = ("imagenet10", "imagenette2", "imagenette2-320", "imagenette2-160")


def imagenet10(data_dir: Path, side: int) -> Dataset:
    """The ten classes as RGB uint8 (N, 3, side, side), 9,469 + 3,925 in Imagenette 2; ids are paths of the files.

    Each image's centre square is resized (see `workloads.data.reading.decode`); further folders are not looked at.
    Raises UserError where no place has all classes of both splits, UserError as `folder.decode_all` does.
    """
    places = tuple(data_dir / name for name in FOLDERS)
    reasons: list[str] = []
    for place in (place for place in places if place.is_dir()):
        splits = {"train": place / "train", "test": place / ("val" if (place / "val").is_dir() else "test")}
        missing = [
            f"{folder.name}/{name} (or {wnid})"
            for folder in splits.values()
            for name, wnid in IMAGENET10_WNIDS.items()
            if _class_folder(folder, name) is None
        ]
        if not missing:
            return _read(place.resolve(), {split: folder.name for split, folder in splits.items()}, side)
        reasons.append(f"{place} lacks {', '.join(missing)}")
    raise data_missing("imagenet10", places, entry("imagenet10").how_to_get, reasons)


def _class_folder(split: Path, name: str) -> Path | None:
    return next((p for p in (split / name, split / IMAGENET10_WNIDS[name]) if p.is_dir()), None)


def _read(root: Path, splits: dict[str, str], side: int) -> Dataset:
    classes = tuple(IMAGENET10_WNIDS)
    listing = [
        Listed(split, name, image)
        for split, folder in splits.items()
        for name in classes
        if (found := _class_folder(root / folder, name)) is not None
        for image in class_images(found, root)
    ]
    whole, kept = decode_all(listing, classes, root, side)
    tested = np.asarray([item.split == "test" for item in kept])
    return Dataset("imagenet10", classes, whole.take(~tested), whole.take(tested))
