"""Classical one-class baselines on raw pixels: what a deep method has to beat, in seconds and without a GPU.

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

from workloads.errors import UserError
from workloads.scoring.table import WHOLE, one_row_an_image, score_rows
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


BASELINES: dict[str, Callable[[Images, Images], Floats]] = {"OC-SVM": oc_svm, "KDE": kde, "5-NN": nearest_neighbour}


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
    """Both as (N, pixels), still uint8; one channel where all three are equal in every image of both."""
    for name, images in (("train", train), ("test", test)):
        if images.dtype != np.uint8 or images.ndim != 4:
            raise UserError(f"{name} is {images.dtype} {images.shape}, expected uint8 (N, C, H, W)", where=name)
        if not len(images):
            raise UserError(f"no {name} images", where=name)
    if train.shape[1:] != test.shape[1:]:
        raise UserError(f"train images {train.shape} do not match test images {test.shape}", where="test")
    if all((images == images[:, :1]).all() for images in (train, test)):
        train, test = train[:, :1], test[:, :1]
    return train.reshape(len(train), -1), test.reshape(len(test), -1)


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


def baseline_rows(name: str, view: "TargetView") -> pa.Table:
    """The test scores of one baseline, fitted on all normal images of one target: it needs no validation.

    Of windows, which may be many, it is fitted on at most `WINDOWS`, a seeded choice among them.
    """
    import torch  # not above: reports need the baselines' names alone

    from workloads.data.conform import conform
    from workloads.data.shuffling import shuffled

    normal, images = torch.cat([view.train, view.val]).cpu().numpy(), view.tested.cpu().numpy()
    if view.windows and len(normal) > WINDOWS:
        normal = normal[np.sort(shuffled(np.arange(len(normal)), "baseline", 0, view.target)[:WINDOWS])]
    channels, height, width = images.shape[1:]
    if max(height, width) > LARGEST:
        small = ImageShape(channels, min(height, LARGEST), min(width, LARGEST))
        normal, images = conform(normal, small), conform(images, small)
    return one_row_an_image(score_rows(view, "test", {WHOLE: np.asarray(BASELINES[name](normal, images))}))
