"""Tiny ImageNet as published in ``tiny-imagenet-200``: train by WordNet id, val by its list, test without labels."""

from pathlib import Path

import numpy as np

from workloads.data.catalogue import entry
from workloads.data.images import Dataset, LabelledImages
from workloads.data.reading.facts import TINY_IMAGENET_WNIDS
from workloads.data.reading.folder import Listed, class_images, decode_all
from workloads.data.reading.published_files import REFETCH
from workloads.errors import UserError, data_missing

FOLDER = "tiny-imagenet-200"
ANNOTATIONS = "val_annotations.txt"


def tiny_imagenet(data_dir: Path, side: int) -> Dataset:
    """200 classes as RGB uint8 (N, 3, side, side), 100,000 + 10,000: val, which has labels, is the test split.

    Resized bilinearly (antialiased) from 64 pixels. Classes are WordNet ids, ascending; ids the paths of the files.
    Raises UserError where a part is not there, UserError for a damaged list and as `folder.decode_all` does.
    """
    root = _existing(data_dir, [*(f"train/{wnid}/images" for wnid in TINY_IMAGENET_WNIDS), f"val/{ANNOTATIONS}"])
    listing = [
        Listed("train", wnid, image)
        for wnid in TINY_IMAGENET_WNIDS
        for image in class_images(root / "train" / wnid / "images", root)
    ]
    listing += read_annotations(root / "val" / ANNOTATIONS)
    whole, kept = decode_all(listing, TINY_IMAGENET_WNIDS, root, side)
    tested = np.asarray([item.split == "test" for item in kept])
    return Dataset("tiny_imagenet", TINY_IMAGENET_WNIDS, whole.take(~tested), whole.take(tested))


def unlabelled(data_dir: Path, side: int) -> LabelledImages:
    """The 10,000 test images, which have no labels: what the papers use as an out set. Raises as `tiny_imagenet`."""
    root = _existing(data_dir, ["test/images"])
    listing = [Listed("test", "unknown", image) for image in class_images(root / "test" / "images", root)]
    images, _ = decode_all(listing, ("unknown",), root, side)
    return images


def read_annotations(path: Path) -> list[Listed]:
    """The val images with their classes. A line is a file name, a WordNet id and a box, with tabs between.

    Raises UserError for a line that is not, and for a WordNet id that is no class.
    """
    found = []
    for number, line in enumerate(path.read_text(errors="backslashreplace").splitlines(), 1):
        name, wnid = [*line.split("\t"), "", ""][:2]
        if wnid not in TINY_IMAGENET_WNIDS or not name or Path(name).name != name:
            raise UserError(
                f"line {number} is {line[:80]!r}, expected a file name, a WordNet id of the 200 and a box",
                where=str(path),
                fix=REFETCH,
            )
        found.append(Listed("test", wnid, path.parent / "images" / name))
    return found


def _existing(data_dir: Path, pieces: list[str]) -> Path:
    """The dataset's resolved folder. Raises UserError where it lacks one of the pieces."""
    root = data_dir / FOLDER
    missing = [piece for piece in pieces if not (root / piece).exists()]
    if not missing:
        return root.resolve()
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    reasons = [f"{root} lacks {', '.join(missing[:3])}{more}"] if root.is_dir() else []
    raise data_missing("tiny_imagenet", (root,), entry("tiny_imagenet").how_to_get, reasons)
