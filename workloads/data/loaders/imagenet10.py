"""ImageNet10: ten classes of ImageNet in ``train/`` and ``val/`` (or ``test/``), by class name or WordNet id.

That the ten classes of DROCC's subset are those of Imagenette is this project's reading; no paper lists them. Nor is it
known that Imagenette's division into train and val is the one that the published numbers were measured on.
"""

from pathlib import Path

from workloads.data.catalogue import entry
from workloads.data.images import Dataset
from workloads.data.reading.folder import Listed, as_dataset, class_images, decode_all
from workloads.data.reading.published_files import place_of

WNIDS = dict(zip(entry("imagenet10").classes or (), entry("imagenet10").folders, strict=True))
"""Class -> WordNet id, by which ImageNet's folders are called."""
FOLDERS = ("imagenet10", "imagenette2", "imagenette2-320", "imagenette2-160")


def imagenet10(data_dir: Path, side: int) -> Dataset:
    """The ten classes as RGB uint8 (N, 3, side, side), 9,469 + 3,925 in Imagenette 2; ids are paths of the files.

    Each image's centre square is resized (see `workloads.data.reading.decode`); further folders are not looked at.
    Raises UserError where no place has all classes of both splits, UserError as `folder.decode_all` does.
    """
    root = place_of("imagenet10", tuple(data_dir / name for name in FOLDERS), _lacks).resolve()
    listing = [
        Listed(split, name, image)
        for split, folder in _splits(root).items()
        for name in WNIDS
        if (class_folder := _class_folder(folder, name)) is not None
        for image in class_images(class_folder, root)
    ]
    return as_dataset("imagenet10", tuple(WNIDS), *decode_all(listing, tuple(WNIDS), root, side))


def _splits(place: Path) -> dict[str, Path]:
    return {"train": place / "train", "test": place / ("val" if (place / "val").is_dir() else "test")}


def _lacks(place: Path) -> list[str]:
    return [
        f"{folder.name}/{name} (or {wnid})"
        for folder in _splits(place).values()
        for name, wnid in WNIDS.items()
        if _class_folder(folder, name) is None
    ]


def _class_folder(split: Path, name: str) -> Path | None:
    return next((p for p in (split / name, split / WNIDS[name]) if p.is_dir()), None)
