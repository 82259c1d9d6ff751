"""One-class baselines that nobody trains: what a deep method has to beat, in seconds and without a GPU.

Each is fitted on the normal images of one class, without a label: no number below is tuned on test anomalies.
Scores are float64 (N,), higher = more anomalous, from uint8 (N, C, H, W) images; UserError for anything else, no
images, or unequal shapes.
"""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workloads.data.images import out_split
from workloads.errors import UserError
from workloads.scoring.table import WHOLE, join, one_row_an_image, score_rows
from workloads.units import ImageShape

if TYPE_CHECKING:
    from workloads.data.view import TargetView

Images = NDArray[np.uint8]
Floats = NDArray[np.float64]

LARGEST = 64
"""Pixels of a side; larger images are shrunk to it: distances between megapixels cost much and say little more."""
WINDOWS = 6000
"""Windows that a baseline is fitted on at the utmost, as many as a class of the larger published datasets has."""
NU = 0.1  # the share of train images allowed outside; papers use 0.1 or 0.01, some the better on the test set: a leak
NEIGHBOURS = 5
SMALL, KERNELS, REFERENCES = 16, 32, 2000  # of random convolutions: pixels of a side, kernels, train images
BLOCK = 512  # rows of a distance matrix at a time: 20 MB for 5,000 train images
GREY_LEVEL = 1 / 255
BANDWIDTHS = np.logspace(-1.5, 0.5, 21)  # in units of the pixels' root-mean-square standard deviation


def oc_svm(train: Images, test: Images) -> Floats:
    """One-class SVM (Schölkopf et al., 2001), RBF kernel, nu = 0.1, gamma = 1 / (dimensions * pixel variance).

    On pixels in [0, 1], not standardised: near-constant pixels would blow up and most anomalies would tie at the top.
    """
    from sklearn.svm import OneClassSVM

    normal, images = _rows(train, test)
    model = OneClassSVM(kernel="rbf", nu=NU, gamma="scale").fit(normal / 255)
    return np.concatenate([-model.decision_function(block / 255) for block in _blocks(images)])


def kde(train: Images, test: Images) -> Floats:
    """Minus the log density of a Gaussian kernel density estimate of pixels in [0, 1], in nats.

    The bandwidth maximises the leave-one-out likelihood of the train images over a log grid. All pixels count: PCA
    would be no faster here and discards what sets many anomalies apart (mean AUROC on digits .991 with 95 % of the
    variance, .995 with 99 %, .997 whole). Computed directly, because scikit-learn's KernelDensity with its default tree
    gives wrong densities in many dimensions; it agrees once its leaf_size is the number of train images.
    """
    normal, images = _rows(train, test)
    bandwidth = leave_one_out_bandwidth(train)
    n, dims = normal.shape
    scale = math.log(n) + dims * math.log(bandwidth * math.sqrt(2 * math.pi))
    return np.concatenate([scale - _log_kernel_sum(block, bandwidth) for block in _distances(images, normal)])


def nearest_neighbour(train: Images, test: Images) -> Floats:
    """Mean Euclidean distance, pixels in [0, 1], to the five nearest train images (to all, if there are fewer).

    Five, not one, so that a single odd train image cannot vouch for an anomaly. It matters little: mean AUROC .9965
    with one and .9961 with five over five splits of digits (90 train images a class; standard deviation at most .0007),
    .932 and .933 on the first three classes of Fashion-MNIST (2,000 each).
    """
    normal, images = _rows(train, test)
    k = min(NEIGHBOURS, len(normal))
    nearest = [np.partition(block, k - 1, axis=1)[:, :k] for block in _distances(images, normal)]
    scores: Floats = np.sqrt(np.concatenate(nearest)).mean(axis=1)
    return scores


def random_convolutions(train: Images, test: Images) -> Floats:
    """Mean Euclidean distance to the five nearest train images in features of one layer of seeded random convolutions.

    32 kernels of 3 x 3 on images of at most 16 x 16 pixels, rectified, averaged over 2 x 2, and the square root, which
    keeps few strong answers from drowning many weak ones: on five classes of Fashion-MNIST (1,000 train images each)
    mean AUROC .918 to .921 by the seed, .901 on pixels, .890 to .904 of like convolutions without it. At most 2,000
    train images, evenly spread, so that a large set costs seconds.
    """
    train, test = _channels(train, test)
    normal = convolved(train[np.linspace(0, len(train) - 1, min(len(train), REFERENCES)).astype(int)])
    norms, k = np.einsum("ij,ij->i", normal, normal), min(NEIGHBOURS, len(normal))
    scores = []
    for start in range(0, len(test), BLOCK):
        block = convolved(test[start : start + BLOCK])
        squared = norms - 2 * (block @ normal.T) + np.einsum("ij,ij->i", block, block)[:, None]
        scores.append(np.sqrt(np.maximum(np.partition(squared, k - 1, axis=1)[:, :k], 0)).mean(axis=1))
    return np.concatenate(scores)


def convolved(images: Images) -> Floats:
    """(N, D) features of `random_convolutions`, each image's from itself alone."""
    from workloads.data.conform import conform

    count, channels, height, width = images.shape
    small = conform(images, ImageShape(channels, min(height, SMALL), min(width, SMALL)))
    padded = np.pad(small.astype(np.float32) / 255, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    places = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3)).transpose(0, 2, 3, 1, 4, 5)
    rows, columns = places.shape[1:3]
    kernels = np.random.default_rng(0).normal(size=(9 * channels, KERNELS)).astype(np.float32) / 3 / channels**0.5
    answers = np.maximum(places.reshape(count, rows, columns, -1) @ kernels, 0)
    high, wide = max(1, rows // 2), max(1, columns // 2)
    cells = answers[:, : rows // high * high, : columns // wide * wide]
    pooled = cells.reshape(count, high, rows // high, wide, columns // wide, KERNELS).mean((2, 4))
    features: Floats = np.sqrt(pooled).reshape(count, -1).astype(np.float64)
    return features


CONVOLUTIONS = "5-NN, random convolutions"
BASELINES: dict[str, Callable[[Images, Images], Floats]] = {
    "OC-SVM": oc_svm,
    "KDE": kde,
    "5-NN": nearest_neighbour,
    CONVOLUTIONS: random_convolutions,
}


def leave_one_out_bandwidth(train: Images) -> float:
    """The kernel's standard deviation, pixels in [0, 1], of greatest leave-one-out likelihood over `BANDWIDTHS`.

    The grid has a floor, so exact duplicates, which would ask for 0, get a small bandwidth. A single image leaves
    nothing to compare with: one grey level (its ranking is that of the distance, whatever the bandwidth).
    """
    normal, _ = _rows(train, train)
    n, dims = normal.shape
    spread = math.sqrt((normal / 255).var(axis=0).mean())
    grid = (spread or GREY_LEVEL) * BANDWIDTHS
    if n == 1:
        return GREY_LEVEL
    log_sums = np.zeros(len(grid))
    start = 0
    for block in _distances(normal, normal):
        diagonal = np.arange(len(block))
        block[diagonal, start + diagonal] = np.inf
        log_sums += [_log_kernel_sum(block, h).sum() for h in grid]
        start += len(block)
    return float(grid[np.argmax(log_sums / n - dims * np.log(grid))])


def _log_kernel_sum(squared: Floats, bandwidth: float) -> Floats:
    """(rows,) log sum over columns of exp(-squared / 2 h²), safe where every term would underflow."""
    nearest = squared.min(axis=1, keepdims=True)
    terms = np.exp((nearest - squared) / (2 * bandwidth**2))
    log_sums: Floats = np.log(terms.sum(axis=1)) - nearest[:, 0] / (2 * bandwidth**2)
    return log_sums


def _rows(train: Images, test: Images) -> tuple[Images, Images]:
    """Both as (N, pixels), still uint8; channels as of `_channels`."""
    train, test = _channels(train, test)
    return train.reshape(len(train), -1), test.reshape(len(test), -1)


def _channels(train: Images, test: Images) -> tuple[Images, Images]:
    """Both as they are; one channel where all three are equal in every image of both."""
    for name, images in (("train", train), ("test", test)):
        if images.dtype != np.uint8 or images.ndim != 4:
            raise UserError(f"{name} is {images.dtype} {images.shape}, expected uint8 (N, C, H, W)", where=name)
        if not len(images):
            raise UserError(f"no {name} images", where=name)
    if train.shape[1:] != test.shape[1:]:
        raise UserError(f"train images {train.shape} do not match test images {test.shape}", where="test")
    if all((images == images[:, :1]).all() for images in (train, test)):
        train, test = train[:, :1], test[:, :1]
    return train, test


def _blocks(rows: Images) -> Iterator[Floats]:
    """Float64 pieces of `BLOCK` rows, values 0..255."""
    for start in range(0, len(rows), BLOCK):
        yield rows[start : start + BLOCK].astype(np.float64)


def _distances(rows: Images, others: Images) -> Iterator[Floats]:
    """Squared Euclidean distances, pixels in [0, 1], (block, len(others)), block after block.

    In float64 on whole numbers every product and sum is exact, so equal images have distance 0, and neither the block
    nor the order of additions matters: the same distances on every machine.
    """
    right = others.astype(np.float64)
    right_norms = np.einsum("ij,ij->i", right, right)
    for left in _blocks(rows):
        squared = left @ right.T
        squared *= -2
        squared += np.einsum("ij,ij->i", left, left)[:, None]
        squared += right_norms
        squared /= 255**2
        yield squared


def baseline_rows(name: str, view: "TargetView", *, with_out: bool = False) -> pa.Table:
    """The test scores of one baseline, fitted on all normal images of one target: it needs no validation. with_out: of
    the out sets' images, too.

    Of windows, which may be many, it is fitted on at most `WINDOWS`, a seeded choice among them.
    """
    import torch  # not above: reports need the baselines' names alone

    from workloads.data.conform import conform
    from workloads.data.shuffling import shuffled

    normal, sets = torch.cat([view.train, view.val]).cpu().numpy(), {"test": view.tested.cpu().numpy()}
    sets |= {out_split(out): images.cpu().numpy() for out, images in view.out.items() if with_out}
    if view.windows and len(normal) > WINDOWS:
        normal = normal[np.sort(shuffled(np.arange(len(normal)), "baseline", 0, view.target)[:WINDOWS])]
    channels, height, width = normal.shape[1:]
    if max(height, width) > LARGEST:
        small = ImageShape(channels, min(height, LARGEST), min(width, LARGEST))
        normal, sets = conform(normal, small), {split: conform(images, small) for split, images in sets.items()}
    scores = {split: np.asarray(BASELINES[name](normal, images)) for split, images in sets.items()}
    return one_row_an_image(join([score_rows(view, split, {WHOLE: values}) for split, values in scores.items()]))
