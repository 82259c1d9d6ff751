"""Tiny ImageNet as published in ``tiny-imagenet-200``: train by WordNet id, val by its list, test without labels."""

from pathlib import Path

from workloads.data.catalogue import entry
from workloads.data.images import Dataset, LabelledImages
from workloads.data.reading.folder import Listed, as_dataset, class_images, decode_all
from workloads.data.reading.published_files import damaged, place_of

WNIDS = entry("tiny_imagenet").classes or ()
FOLDER = "tiny-imagenet-200"
ANNOTATIONS = "val_annotations.txt"


def tiny_imagenet(data_dir: Path, side: int) -> Dataset:
    """200 classes as RGB uint8 (N, 3, side, side), 100,000 + 10,000: val, which has labels, is the test split.

    Resized bilinearly (antialiased) from 64 pixels. Classes are WordNet ids, ascending; ids the paths of the files.
    Raises UserError where a part is not there, UserError for a damaged list and as `folder.decode_all` does.
    """
    root = _existing(data_dir, [*(f"train/{wnid}/images" for wnid in WNIDS), f"val/{ANNOTATIONS}"])
    listing = [
        Listed("train", wnid, image) for wnid in WNIDS for image in class_images(root / "train" / wnid / "images", root)
    ]
    listing += read_annotations(root / "val" / ANNOTATIONS)
    return as_dataset("tiny_imagenet", WNIDS, *decode_all(listing, WNIDS, root, side))


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
    listing = []
    for number, line in enumerate(path.read_text(errors="backslashreplace").splitlines(), 1):
        name, wnid = [*line.split("\t"), "", ""][:2]
        if wnid not in WNIDS or not name or Path(name).name != name:
            expected = "a file name, a WordNet id of the 200 and a box"
            raise damaged(f"line {number} is {line[:80]!r}, expected {expected}", path)
        listing.append(Listed("test", wnid, path.parent / "images" / name))
    return listing


def _existing(data_dir: Path, pieces: list[str]) -> Path:
    """The dataset's resolved folder. Raises UserError where it lacks one of the pieces."""

    def lacks(root: Path) -> list[str]:
        missing = [piece for piece in pieces if not (root / piece).exists()]
        return missing if len(missing) <= 3 else [*missing[:3], f"{len(missing) - 3} more"]

    return place_of("tiny_imagenet", (data_dir / FOLDER,), lacks).resolve()
