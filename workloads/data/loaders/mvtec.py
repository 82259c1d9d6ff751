"""The five textures of MVTec AD, in the folders it is published in. Each is tested on its own test images alone."""

from pathlib import Path

from workloads.data.catalogue import Fit, entry
from workloads.data.images import Dataset
from workloads.data.reading.folder import (
    Listed,
    as_dataset,
    check_class_name,
    class_images,
    visible_folders,
)
from workloads.data.reading.masks import GROUND_TRUTH, read_masks
from workloads.data.reading.published_files import place_of
from workloads.data.reading.windowed import read_windows
from workloads.data.windows import Form

TEXTURES = entry("mvtec_textures").classes or ()
FOLDERS = ("mvtec", "mvtec_anomaly_detection")
GOOD = "good"
PIECES = (f"train/{GOOD}", f"test/{GOOD}", GROUND_TRUTH)


def mvtec_textures(data_dir: Path, side: int, fit: Fit = "crop") -> Dataset:
    """Carpet, grid, leather, tile and wood as RGB uint8 (N, 3, side, side), 1,266 + 515, ids the paths of the files.

    Classes are the textures (their good images), then every defect as ``<texture>-<defect>``, in test only. `tested_on`
    keeps each texture to its own images; `masks` are uint8 (N, side, side), 1 where at least half of a pixel's area is
    defective. fit: how an image becomes windows. Raises UserError where no place has all five, UserError as
    `folder.readable` and `masks.read_masks` do.
    """
    wanted = [f"{texture}/{piece}" for texture in TEXTURES for piece in PIECES]

    def lacks(place: Path) -> list[str]:
        return [folder for folder in wanted if not (place / folder).is_dir()]

    root = place_of("mvtec_textures", tuple(data_dir / name for name in FOLDERS), lacks).resolve()
    defects = {
        texture: {f"{texture}-{check_class_name(p)}": p for p in visible_folders(root / texture / "test")}
        for texture in TEXTURES
    }
    folders = [("train", texture, root / texture / "train" / GOOD) for texture in TEXTURES]
    for texture, named in defects.items():
        folders.append(("test", texture, named.pop(f"{texture}-{GOOD}")))
        folders += [("test", name, folder) for name, folder in named.items()]
    listing = [Listed(split, name, image) for split, name, folder in folders for image in class_images(folder, root)]
    classes = (*TEXTURES, *(name for named in defects.values() for name in named))
    form = Form(side, side, fit)
    read = read_windows(listing, classes, root, form)
    tested_on = {texture: (texture, *named) for texture, named in defects.items()}
    tested = {item: size for item, size in zip(read.kept, read.sizes, strict=True) if item.split == "test"}
    masks, remarks = read_masks(tested, TEXTURES, root, form)
    facts = {"tested_on": tested_on, "masks": masks, "remarks": (*read.remarks, *remarks)}
    return as_dataset("mvtec_textures", classes, read.images, read.kept, **facts)
