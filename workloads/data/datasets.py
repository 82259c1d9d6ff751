"""Every dataset by name. See `workloads.data.catalogue` for what there is."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from workloads.data.catalogue import Fit, default_fit, entry
from workloads.data.images import Dataset, LabelledImages
from workloads.data.loaders.brats import brats
from workloads.data.loaders.celeba import celeba
from workloads.data.loaders.cifar import BINARY, cifar
from workloads.data.loaders.imagenet10 import imagenet10
from workloads.data.loaders.lsun import lsun
from workloads.data.loaders.mnist import mnist_like
from workloads.data.loaders.mvtec import mvtec
from workloads.data.loaders.omniglot import omniglot
from workloads.data.loaders.svhn import svhn
from workloads.data.loaders.tiny_imagenet import tiny_imagenet, unlabelled
from workloads.data.loaders.user_folder import read_folder
from workloads.data.reading.account import DEFAULT_RULES, FolderRules
from workloads.data.shuffling import halves
from workloads.errors import UserError

log = logging.getLogger(__name__)


def load(
    name: str,
    data_dir: Path,
    *,
    path: Path | None = None,
    side: int = 32,
    seed: int = 0,
    download: bool = True,
    rules: FolderRules = DEFAULT_RULES,
    fit: Fit | None = None,
    white_level: int | None = None,
) -> Dataset:
    """The dataset `name`, whole, in memory; `path`, `rules` and `white_level` are for ``folder`` only.

    `side` (pixels) is what datasets of image files are decoded to; those of arrays come in their native size. `seed`
    splits the datasets that have no official test split (digits, a folder without train/ and test/). It is a part of
    the data, not of a trial: leave it at 0 to compare with numbers measured elsewhere. fit: how image files become
    windows, of the datasets in `FITTED`; what the dataset has by default where absent. Other counts or checksums than
    the published ones are named in a warning.

    Raises UserError for an unknown name or damaged files, UserError where the files cannot be had.
    """
    entry(name)
    fit = fit or default_fit(name)
    if name == "folder":
        if path is None:
            raise UserError("the dataset 'folder' needs a path", where="path", fix=entry(name).how_to_get)
        return read_folder(path, side=side, fit=fit, white_level=white_level, seed=seed, rules=rules)
    if path is not None:
        raise UserError(
            f"a path is for the dataset 'folder', not for {name!r}", where="path", fix="use data_dir, or 'folder'"
        )
    dataset = _published(name, data_dir, side, seed, download, fit)
    counts, expected = (len(dataset.train), len(dataset.test)), (entry(name).train_images, entry(name).test_images)
    if any(expected) and counts != expected:
        log.warning("%s has %d train and %d test images here, %d and %d as published", name, *counts, *expected)
    return dataset


def load_out(name: str, data_dir: Path, *, side: int, seed: int, download: bool) -> LabelledImages:
    """What the dataset `name` is where it stands against another: its test images; Tiny ImageNet's unlabelled ones.

    Arguments and errors as in `load`; of large sets no more is read than this needs.
    """
    if name == "tiny_imagenet":
        return unlabelled(data_dir, side)
    if name == "celeba":
        return celeba(data_dir, side, splits=("test",)).test
    return load(name, data_dir, side=side, seed=seed, download=download).test


def _published(name: str, data_dir: Path, side: int, seed: int, download: bool, fit: Fit) -> Dataset:
    if name == "digits":
        return _digits(seed)
    if name == "svhn":
        return svhn(data_dir, download)
    by_side: dict[str, Callable[[Path, int], Dataset]] = {
        "imagenet10": imagenet10,
        "mvtec": partial(mvtec, "mvtec", fit=fit),
        "mvtec_textures": partial(mvtec, "mvtec_textures", fit=fit),
        "omniglot": omniglot,
        "tiny_imagenet": tiny_imagenet,
        "lsun": lsun,
        "celeba": celeba,
    }
    if name in by_side:
        return by_side[name](data_dir, side)
    if name.startswith("brats"):
        return brats(name, data_dir, side)
    if name in BINARY:
        return cifar(name, data_dir, download)
    return mnist_like(name, data_dir, download)


def _digits(seed: int) -> Dataset:
    """scikit-learn's 1,797 digits, 1x8x8, values 0..16 spread over 0..255; ids are places in scikit-learn's order."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    whole = LabelledImages(images, labels, tuple(f"digits/{i:04d}" for i in range(len(images))))
    classes = entry("digits").classes or ()
    train, test = halves(labels, classes, seed)
    return Dataset("digits", classes, whole.take(train), whole.take(test))
