"""Auxiliary sets: images of any kind that a general model learns from, in the form of the dataset they stand beside.

Schirrmeister et al. (2006.10848) compare a model of one dataset with a model of 80 Million Tiny Images. That set is
withdrawn, so any source of the catalogue (`SOURCES`), any dataset's training images, and mixes of them can be used.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.data.catalogue import SOURCES
from workloads.data.datasets import load
from workloads.data.duplicates import exact_hashes
from workloads.data.images import AuxiliaryImages, LabelledImages
from workloads.data.loaders.image_arrays import image_arrays
from workloads.data.loaders.photo_tiles import TILES, photo_tiles
from workloads.data.loaders.tiny_images import CHUNK, IMAGE_BYTES, PAPER_CHUNKS, chosen_chunks, decode
from workloads.data.out_sets import alike, no_class
from workloads.data.reading.folder import Listed, decode_all, images_under
from workloads.data.shuffling import shuffled
from workloads.errors import UserError, data_missing
from workloads.units import ImageShape

log = logging.getLogger(__name__)

SPLITS = ("train", "val")


@dataclass(frozen=True)
class Source:
    """One source of auxiliary images.

    name: of `catalogue.auxiliary_names()`. path: of a file or folder; None is the place that the catalogue names.
    max_images: train and val together; None is all (`photo_tiles.TILES` tiles; the paper's 1,562,560 of Tiny Images).
    val_fraction: held out, in (0, 1); the paper's is 0.2. seed: of the choice, and of what is held out.
    """

    name: str
    path: str | None = None
    max_images: int | None = None
    val_fraction: float = 0.2
    seed: int = 0


def auxiliary_images(
    sources: Sequence[Source],
    data_dir: Path,
    *,
    shape: ImageShape,
    known: Sequence[NDArray[np.uint8]] = (),
    download: bool = True,
) -> AuxiliaryImages:
    """The images of all sources as one set: uint8 (N, *shape), labels `NO_CLASS`.

    known: images, uint8 (N, *shape), that are tested, the dataset's and the out sets', for nothing may learn from
    them; exact copies of any are left out, counted and named in a warning. Raises as
    `workloads.data.datasets.load`, and UserError for files that cannot be used and for a source with fewer than 2
    images.
    """
    # ids begin with the source's number, for two may have files of the same name
    pairs = [
        [_in_form(images, shape, f"general_{number}/") for images in _source(source, data_dir, shape, download)]
        for number, source in enumerate(sources)
    ]
    hashes = np.concatenate([exact_hashes(images) for images in known]) if known else np.empty(0, np.uint64)
    kept: list[LabelledImages] = []
    duplicates = 0
    for split in zip(*pairs, strict=True):
        joined = _joined(split)
        copies = np.isin(exact_hashes(joined.images), hashes)
        duplicates += int(copies.sum())
        kept.append(joined.take(~copies) if copies.any() else joined)
        if not len(kept[-1]):
            raise UserError(
                "every auxiliary image is a test image of the dataset or of an out set",
                where="data.auxiliary",
                fix="use another source",
            )
    if duplicates:
        log.warning("%d auxiliary images are test images of the dataset or of an out set, too: left out", duplicates)
    return AuxiliaryImages(kept[0], kept[1], duplicates)


def _source(source: Source, data_dir: Path, shape: ImageShape, download: bool) -> list[LabelledImages]:
    """Train and val of one source, in a form of its own."""
    if source.name == "photo_tiles":
        count = source.max_images or TILES
        tiles = photo_tiles(shape.side, count, _held_out(count, source), source.seed)
        return _named_splits(source.name, tiles)
    if source.name == "tiny_images":
        images = _tiny_images(_path(source, data_dir), source.max_images)
        first = len(images) - _held_out(len(images), source)  # by place, as the paper does: the choice was random
        return _named_splits(source.name, (images[:first], images[first:]))  # no copy
    if source.name == "folder":
        return _of_folder(source, _path(source, data_dir), shape.side)
    if source.name == "arrays":
        whole = _named(source.name, image_arrays(_path(source, data_dir)))
    else:
        whole = load(source.name, data_dir, side=shape.side, seed=source.seed, download=download).train
    return [whole.take(rows) for rows in _divided(len(whole), source)]


def _of_folder(source: Source, folder: Path, side: int) -> list[LabelledImages]:
    """Only the chosen files are opened."""
    root = folder.resolve()
    files = images_under(root)
    splits = []
    for rows in _divided(len(files), source):
        images, _ = decode_all([Listed("", source.name, files[row]) for row in rows], (source.name,), root, side)
        splits.append(images)
    return splits


def _tiny_images(path: Path, max_images: int | None) -> NDArray[np.uint8]:
    """uint8 (N, 3, 32, 32): the paper's choice of whole chunks in its order, or the first `max_images` of it."""
    size = path.stat().st_size if path.is_file() else 0
    if not size or size % IMAGE_BYTES:
        raise UserError(
            f"{size} bytes are not a whole number of {IMAGE_BYTES}-byte images",
            where=str(path),
            fix="give the path of tiny_images.bin",
        )
    chunks = min(PAPER_CHUNKS, -(-max_images // CHUNK)) if max_images else PAPER_CHUNKS
    file = np.memmap(path, np.uint8, mode="r").reshape(-1, IMAGE_BYTES)
    images = np.empty((chunks * CHUNK, 3, 32, 32), np.uint8)
    for place, chunk in enumerate(chosen_chunks(len(file), chunks)):
        images[place * CHUNK : (place + 1) * CHUNK] = decode(file[chunk * CHUNK : (chunk + 1) * CHUNK].tobytes())
    return images[:max_images]


def _path(source: Source, data_dir: Path) -> Path:
    facts = SOURCES[source.name]
    path = Path(source.path).expanduser() if source.path else data_dir / facts.place
    if path.exists():
        return path
    raise data_missing(source.name, (path,), facts.how_to_get)


def _divided(count: int, source: Source) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Train and val rows, each ascending, of a seeded choice among `count` images."""
    rows = shuffled(np.arange(count), "general", source.seed, source.name)[: source.max_images]
    held_out = _held_out(len(rows), source)
    return np.sort(rows[held_out:]), np.sort(rows[:held_out])


def _held_out(count: int, source: Source) -> int:
    if count < 2:
        raise UserError(
            f"{source.name!r} has {count} image(s), and some are to be held out",
            where=source.path or "data.auxiliary",
            fix="use a source with more images",
        )
    return min(max(round(count * source.val_fraction), 1), count - 1)


def _named(name: str, images: NDArray[np.uint8]) -> LabelledImages:
    return LabelledImages(images, no_class(len(images)), tuple(f"{name}/{i:07d}" for i in range(len(images))))


def _named_splits(name: str, splits: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> list[LabelledImages]:
    return [_named(f"{name}/{split}", images) for split, images in zip(SPLITS, splits, strict=True)]


def _in_form(images: LabelledImages, shape: ImageShape, prefix: str) -> LabelledImages:
    """Images of a source in the dataset's form, the prefix before their ids."""
    formed = alike(images, shape)
    return LabelledImages(formed.images, formed.labels, tuple(f"{prefix}{item}" for item in formed.ids))


def _joined(splits: Sequence[LabelledImages]) -> LabelledImages:
    if len(splits) == 1:
        return splits[0]
    ids = tuple(item for images in splits for item in images.ids)
    return LabelledImages(np.concatenate([images.images for images in splits]), no_class(len(ids)), ids)
