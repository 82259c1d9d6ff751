"""The five textures of MVTec AD, in the folders it is published in. Each is tested on its own test images alone."""

from pathlib import Path

import numpy as np

from workloads.data.catalogue import entry
from workloads.data.images import Dataset
from workloads.data.reading.facts import MVTEC_TEXTURES
from workloads.data.reading.folder import Listed, check_class_name, class_images, decode_all, visible_folders
from workloads.data.reading.masks import GROUND_TRUTH, read_masks
from workloads.errors import data_missing

FOLDERS = ("mvtec", "mvtec_anomaly_detection")
GOOD = "good"
PIECES = (f"train/{GOOD}", f"test/{GOOD}", GROUND_TRUTH)


def mvtec_textures(data_dir: Path, side: int) -> Dataset:
    """Carpet, grid, leather, tile and wood as RGB uint8 (N, 3, side, side), 1,266 + 515, ids the paths of the files.

    Classes are the textures (their good images), then every defect as ``<texture>-<defect>``, in test only. `tested_on`
    keeps each texture to its own images; `masks` are uint8 (N, side, side), 1 where at least half of a pixel's area is
    defective. Raises UserError where no place has all five, UserError as `folder.decode_all` and
    `masks.read_masks` do.
    """
    places = tuple(data_dir / name for name in FOLDERS)
    reasons: list[str] = []
    for place in (place for place in places if place.is_dir()):
        wanted = [f"{texture}/{piece}" for texture in MVTEC_TEXTURES for piece in PIECES]
        missing = [folder for folder in wanted if not (place / folder).is_dir()]
        if not missing:
            return _read(place.resolve(), side)
        reasons.append(f"{place} lacks {', '.join(missing)}")
    raise data_missing("mvtec_textures", places, entry("mvtec_textures").how_to_get, reasons)


def _read(root: Path, side: int) -> Dataset:
    defects = {
        texture: {f"{texture}-{check_class_name(p)}": p for p in visible_folders(root / texture / "test")}
        for texture in MVTEC_TEXTURES
    }
    folders = [("train", texture, root / texture / "train" / GOOD) for texture in MVTEC_TEXTURES]
    for texture, found in defects.items():
        folders.append(("test", texture, found.pop(f"{texture}-{GOOD}")))
        folders += [("test", name, folder) for name, folder in found.items()]
    listing = [Listed(split, name, image) for split, name, folder in folders for image in class_images(folder, root)]
    classes = (*MVTEC_TEXTURES, *(name for found in defects.values() for name in found))
    whole, kept = decode_all(listing, classes, root, side)
    test = [item for item in kept if item.split == "test"]
    tested = np.asarray([item.split == "test" for item in kept])
    return Dataset(
        "mvtec_textures",
        classes,
        whole.take(~tested),
        whole.take(tested),
        tested_on={texture: (texture, *found) for texture, found in defects.items()},
        masks=read_masks(test, MVTEC_TEXTURES, root, side),
    )
