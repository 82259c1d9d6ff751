"""MVTec AD, or its five textures, in the folders it is published in. A category is tested on its own images alone."""

from pathlib import Path

from workloads.data.catalogue import Fit, entry
from workloads.data.images import Dataset
from workloads.data.reading.folder import (
    GROUND_TRUTH,
    Listed,
    as_dataset,
    check_class_name,
    class_images,
    visible_folders,
)
from workloads.data.reading.masks import read_masks
from workloads.data.reading.published_files import place_of
from workloads.data.reading.windowed import read_windows
from workloads.data.windows import Form

FOLDERS = ("mvtec", "mvtec_anomaly_detection")
GOOD = "good"
PIECES = (f"train/{GOOD}", f"test/{GOOD}", GROUND_TRUTH)


def mvtec(name: str, data_dir: Path, side: int, fit: Fit = "crop") -> Dataset:
    """The categories of the dataset `name` as RGB uint8 (N, 3, side, side), ids the paths of the files.

    Classes are the categories (their good images), then every defect as ``<category>-<defect>``, in test only.
    `tested_on` keeps each category to its own images; `masks` are uint8 (N, side, side), 1 where at least half of a
    pixel's area is defective. fit: how an image becomes windows. Raises UserError where no place has all categories,
    and as `folder.readable` and `masks.read_masks` do.
    """
    categories = entry(name).classes or ()
    wanted = [f"{category}/{piece}" for category in categories for piece in PIECES]

    def lacks(place: Path) -> list[str]:
        return [folder for folder in wanted if not (place / folder).is_dir()]

    root = place_of(name, tuple(data_dir / folder for folder in FOLDERS), lacks).resolve()
    defects = {
        category: {f"{category}-{check_class_name(p)}": p for p in visible_folders(root / category / "test")}
        for category in categories
    }
    folders = [("train", category, root / category / "train" / GOOD) for category in categories]
    for category, named in defects.items():
        folders.append(("test", category, named.pop(f"{category}-{GOOD}")))
        folders += [("test", defect, folder) for defect, folder in named.items()]
    listing = [Listed(split, label, image) for split, label, folder in folders for image in class_images(folder, root)]
    classes = (*categories, *(defect for named in defects.values() for defect in named))
    form = Form(side, side, fit)
    read = read_windows(listing, classes, root, form)
    tested_on = {category: (category, *named) for category, named in defects.items()}
    tested = {item: size for item, size in zip(read.kept, read.sizes, strict=True) if item.split == "test"}
    masks, remarks = read_masks(tested, categories, root, form)
    facts = {"tested_on": tested_on, "masks": masks, "remarks": (*read.remarks, *remarks)}
    return as_dataset(name, classes, read.images, read.kept, **facts)
