"""Out-of-distribution sets: another dataset's test images, or noise, in the form of the images they stand against."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workloads.data.catalogue import NOISE
from workloads.data.conform import conform
from workloads.data.datasets import load_out
from workloads.data.images import NO_CLASS, LabelledImages
from workloads.data.shuffling import shuffled
from workloads.training.seeds import derive_seed
from workloads.units import ImageShape

NOISE_IMAGES = 1000


def out_sets(
    names: Sequence[str],
    data_dir: Path,
    *,
    shape: ImageShape,
    max_images: int | None = None,
    seed: int = 0,
    download: bool = True,
) -> dict[str, LabelledImages]:
    """Every out set by name, in the order given: uint8 (N, *shape), labels `NO_CLASS`.

    max_images: of each set, chosen by `seed`, which also makes the noise; None is all (`NOISE_IMAGES` of noise).
    Raises as `workloads.data.datasets.load_out`: UserError where a set cannot be had.
    """
    found = {}
    for name in names:
        if name == NOISE:
            found[name] = noise(min(NOISE_IMAGES, max_images or NOISE_IMAGES), shape, seed)
            continue
        test = load_out(name, data_dir, side=shape.side, seed=seed, download=download)
        rows = np.sort(shuffled(np.arange(len(test)), "out", seed, name)[:max_images])
        found[name] = alike(test.take(rows), shape)
    return found


def noise(count: int, shape: ImageShape, seed: int) -> LabelledImages:
    """`count` images whose every value is independent and uniform over 0..255; fewer are the first of more."""
    random = np.random.default_rng(derive_seed(NOISE, seed))
    images = random.integers(256, size=(count, shape.channels, shape.height, shape.width), dtype=np.uint8)
    return LabelledImages(images, no_class(count), tuple(f"{NOISE}/{i:05d}" for i in range(count)))


def alike(images: LabelledImages, shape: ImageShape) -> LabelledImages:
    """The images in another shape, without their own classes."""
    return LabelledImages(conform(images.images, shape), no_class(len(images)), images.ids)


def no_class(count: int) -> np.ndarray:
    return np.full(count, NO_CLASS, dtype=np.int64)
