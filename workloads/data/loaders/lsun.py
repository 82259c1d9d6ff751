"""LSUN's ten scene categories, their validation images alone: from the published LMDBs, or exported to folders.

Schirrmeister et al. (2006.10848) hold CIFAR and SVHN against them, their short side resized to 32 pixels and the centre
cut out. The million training images a category are not read.
"""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.data.catalogue import entry
from workloads.data.images import Dataset, LabelledImages
from workloads.data.reading.decode import decode
from workloads.data.reading.folder import check_file, images_under, readable
from workloads.data.reading.published_files import damaged, not_here

CATEGORIES = entry("lsun").classes or ()


class Item(NamedTuple):
    """An image's id, its category, and its file or the bytes of it."""

    id: str
    category: str
    source: Path | BytesIO


def lsun(data_dir: Path, side: int) -> Dataset:
    """300 images of each category as RGB uint8 (N, 3, side, side), all in test; ids are ``lsun/<category>/<key>``.

    ``lsun/<category>_val_lmdb`` (a database of JPEG or WebP files by key) or ``lsun/val/<category>`` with the same
    files, at any depth. Raises UserError where a category is not there or a database needs the package lmdb,
    UserError for a damaged database and where more than one image and more than 5 % cannot be read.
    """
    root = data_dir / "lsun"
    missing = [category for category in CATEGORIES if not any(place.is_dir() for place in _places(root, category))]
    if missing:
        raise not_here("lsun", (root,), [f"{root} lacks {', '.join(missing)}"] if root.is_dir() else [])

    def image_of(item: Item) -> NDArray[np.uint8]:
        if isinstance(item.source, Path):
            check_file(item.source, root.resolve())
        return decode(item.source, side)

    items = (item for category in CATEGORIES for item in _items(root.resolve(), category))
    images, kept, _ = readable(items, image_of, lambda item: item.id, root)
    labels = np.asarray([CATEGORIES.index(item.category) for item in kept], dtype=np.int64)
    test = LabelledImages(np.stack(images), labels, tuple(item.id for item in kept))
    return Dataset("lsun", CATEGORIES, test.take(np.arange(0)), test)


def _places(root: Path, category: str) -> tuple[Path, Path]:
    return root / f"{category}_val_lmdb", root / "val" / category


def _items(root: Path, category: str) -> list[Item]:
    """Every image of a category, by key."""
    database, folder = _places(root, category)
    sources = _records(database) if database.is_dir() else {file.stem: file for file in images_under(folder)}
    if not sources:
        raise damaged(f"no images of {category!r}", root)
    return [Item(f"lsun/{category}/{key}", category, sources[key]) for key in sorted(sources)]


def _records(database: Path) -> Mapping[str, Path | BytesIO]:
    """The whole database: 300 images are about 10 MB. Read here, for torchvision's reader unpickles a cache file."""
    try:
        import lmdb  # only this dataset needs it
    except ImportError as error:
        raise not_here("lsun", (database,), [f"{database}, and the package lmdb is not installed"]) from error
    try:
        with lmdb.open(str(database), readonly=True, lock=False, max_readers=1) as opened, opened.begin() as records:
            return {key.decode("utf-8", "backslashreplace"): BytesIO(value) for key, value in records.cursor()}
    except lmdb.Error as error:
        raise damaged(f"not a whole LMDB database: {error}", database) from error
