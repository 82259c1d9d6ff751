"""Sources of auxiliary images by the name that the command line knows them under."""

from collections.abc import Sequence
from pathlib import Path

from orchestrator.data.auxiliary.sources.base import SourceFormat
from orchestrator.data.auxiliary.sources.flat import PAPER, FlatSource
from orchestrator.data.auxiliary.sources.folder import FolderSource
from orchestrator.data.auxiliary.sources.npz import NpzSource
from orchestrator.data.auxiliary.sources.parquet import ParquetSource
from orchestrator.data.auxiliary.sources.tar import TarSource
from workloads.data.loaders import tiny_images
from workloads.errors import UserError, closest

KINDS = {
    "tiny_images": "the flat file of 80 Million Tiny Images, or any file of that format",
    "folder": "image files in a folder, at any depth",
    "webdataset": ".tar files with images in them",
    "parquet": "Parquet with encoded images, as Hugging Face's datasets store them",
    "npz": ".npz batches of pixels, as downsampled ImageNet is published",
}


def open_source(
    kind: str,
    path: str,
    *,
    side: int,
    choose: str | None = None,
    duplicates: Sequence[Path] = (),
    column: str | None = None,
) -> SourceFormat:
    """The source of that kind; `choose` is for tiny_images and webdataset, `duplicates` for tiny_images,
    `column` for parquet.

    Raises UserError for an unknown kind, what is for another kind, and index lists that cannot be read.
    """
    if kind not in KINDS:
        raise UserError(f"no kind of source {kind!r}", nearest=closest(kind, KINDS), fix=f"use {', '.join(KINDS)}")
    options = {
        "--choose": (choose, ("tiny_images", "webdataset")),
        "--exclude": (duplicates, ("tiny_images",)),
        "--column": (column, ("parquet",)),
    }
    for option, (value, owners) in options.items():
        if value and kind not in owners:
            raise UserError(f"this is for {' and '.join(owners)}, not for {kind}", where=option, fix="leave it out")
    if kind == "tiny_images":
        if side != tiny_images.SIDE:
            raise UserError(f"a side of {side}", where="--side", fix="leave it: these images are 32x32")
        known = tiny_images.read_duplicates(duplicates) if duplicates else None
        return FlatSource(path, choose or PAPER, known)
    if kind == "parquet":
        return ParquetSource(path, side, column or "image")
    if kind == "webdataset":
        return TarSource(path, side, choose)
    return FolderSource(path, side) if kind == "folder" else NpzSource(path, side)
