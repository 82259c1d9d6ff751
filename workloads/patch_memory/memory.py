"""What is learnt of the features of normal patches, and how far others are from it.

Images are seen a few at a time, so the memory that a fit takes does not grow with their number, but for the candidates
of the coreset and, in `gaussian_per_place`, the number of places.
"""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workloads.errors import UserError
from workloads.learner import State
from workloads.patch_memory.config import PatchMemoryConfig
from workloads.patch_memory.usual import NOTHING, in_deviations, sums_of, usual_of

DISTANCES_AT_ONCE = 2**22  # 16 MB: a CPU maps larger ones anew each time
Numbers = NDArray[np.int64]
"""(N,) of what each image or window shows: the same for windows of one image, and for images of one part."""
RELATIVES = 9  # PatchCore's b: neighbours of the nearest patch, by which its distance is reweighted


def fit(config: PatchMemoryConfig, chunks: Iterable[Tensor], numbers: Numbers) -> State:
    """A state from the features (n, D, h, w) of some normal images at a time. numbers: of what each shows, of all."""
    if config.model == "gaussian_per_place":
        return fit_places(config, chunks)
    moments, candidates, per_image = Moments(), [], -(-config.candidates // len(numbers))
    whitens = config.whitened or config.model == "gaussian"
    for chunk in chunks:
        rows = chunk.permute(0, 2, 3, 1).flatten(1, 2)  # (n, patches, D)
        if whitens:
            moments.add(rows.flatten(0, 1))
        if config.model == "neighbours":
            candidates += [image[torch.randperm(len(image))[:per_image].to(image.device)] for image in rows]
    state: State = {}
    if whitens:
        state = {"mean": moments.mean, "whitening": moments.whitening(config.shrinkage), "patches": moments.count}
    if config.model == "gaussian":
        return state
    patches = whitened(state, torch.cat(candidates))
    images_of = torch.from_numpy(numbers).repeat_interleave(torch.tensor([len(part) for part in candidates]))
    chosen = coreset(patches, config.memory, config.projection)
    return state | {"memory": patches[chosen].contiguous(), "images": images_of.to(chosen.device)[chosen]}


class Moments:
    """Mean and covariance of rows, added up in float64. Shapes (..., N, D): leading ones are apart."""

    LEAST = 1e-9
    """Added to all variances, so that a feature that never changes can be divided by."""

    def __init__(self) -> None:
        self.count = 0
        self.total: Tensor | None = None
        self.products: Tensor | None = None

    def add(self, rows: Tensor) -> None:
        rows = rows.double()
        total, products = rows.sum(-2), rows.mT @ rows
        self.total = total if self.total is None else self.total + total
        self.products = products if self.products is None else self.products + products
        self.count += rows.shape[-2]

    @property
    def mean(self) -> Tensor:
        assert self.total is not None
        return (self.total / self.count).float()

    def whitening(self, shrinkage: float) -> Tensor:
        """W (..., D, D) of which (x - mean) W has the identity as its covariance, once a share of the mean variance
        is added to all variances."""
        assert self.total is not None
        assert self.products is not None
        mean = self.total / self.count
        covariance = self.products / self.count - mean[..., :, None] * mean[..., None, :]
        spread = covariance.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
        identity = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
        factor = torch.linalg.cholesky(covariance + (shrinkage * spread + self.LEAST) * identity)
        return torch.linalg.solve_triangular(factor, identity.expand_as(factor), upper=False).mT.float()


def fit_places(config: PatchMemoryConfig, chunks: Iterable[Tensor]) -> State:
    """A Gaussian of every place of the map, of channels drawn at random (PaDiM)."""
    moments, channels = Moments(), None
    for chunk in chunks:
        if channels is None:
            channels = torch.randperm(chunk.shape[1])[: config.dims].sort().values.to(chunk.device)
        moments.add(chunk[:, channels].permute(2, 3, 0, 1))
    assert channels is not None
    return {
        "channels": channels,
        "mean": moments.mean,
        "whitening": moments.whitening(config.shrinkage),
        "patches": moments.count,
    }


def whitened(state: State, rows: Tensor) -> Tensor:
    """Rows (N, D) whose covariance is the identity; as they are where the state says nothing of it."""
    return (rows - state["mean"]) @ state["whitening"] if "whitening" in state else rows


def coreset(rows: Tensor, size: int, projection: int) -> Tensor:
    """Numbers of `size` rows, such that the farthest of the others is near one of them: greedy k-center (Sener and
    Savarese, 2018) in random dimensions (Johnson and Lindenstrauss), as in PatchCore. All where there are no more."""
    if len(rows) <= size:
        return torch.arange(len(rows), device=rows.device)
    if rows.shape[1] > projection:
        rows = rows @ (torch.randn(rows.shape[1], projection) / projection**0.5).to(rows.device)
    norms = rows.square().sum(1)
    chosen = torch.zeros(size, dtype=torch.long, device=rows.device)
    chosen[:1] = torch.randint(len(rows), (1,)).to(rows.device)
    nearest = torch.full_like(norms, torch.inf)
    for number in range(1, size):
        last = chosen[number - 1 : number]
        nearest = torch.minimum(nearest, torch.addmv(norms + norms[last], rows, rows[last][0], alpha=-2))
        nearest[last] = -torch.inf
        chosen[number : number + 1] = nearest.argmax()
    return chosen


def distances(config: PatchMemoryConfig, state: State, features: Tensor) -> Tensor:
    """Of every patch from the normal ones: (n, h, w), from features (n, D, h, w), in deviations from what is usual
    where the state knows it. Raises UserError for other sizes than those of the fit where places are apart."""
    if config.model == "gaussian_per_place":
        return place_distances(state, features)
    plain = plain_distances(config, state, features)
    return in_deviations(plain, state["usual"]) if "usual" in state else plain


def with_usual(config: PatchMemoryConfig, state: State, chunks: Iterable[Tensor], numbers: Numbers) -> State:
    """The state with what is usual at each place, by the features of images that were fitted, of those numbers, and by
    those that it knows of. A neighbour is a patch of what has another number: its own would be at no distance, as would
    be those of a window that overlaps. A Gaussian of all patches is as it is."""
    images = (image for chunk in chunks for image in chunk)
    maps = (
        plain_distances(config, others(state, number), image[None])[0]
        for image, number in zip(images, numbers.tolist(), strict=True)
    )
    before = sums_of(state["usual"], state["usual_of"]) if "usual" in state else NOTHING
    usual, count = usual_of(maps, before)
    return state | {"usual": usual, "usual_of": count}


def others(state: State, number: int) -> State:
    """The state without the patches of that number, where it has patches of more."""
    if "memory" not in state:
        return state
    other = state["images"] != number
    return state | {"memory": state["memory"][other]} if other.any() else state


def plain_distances(config: PatchMemoryConfig, state: State, features: Tensor) -> Tensor:
    count, _, height, width = features.shape
    rows = whitened(state, features.permute(0, 2, 3, 1).flatten(0, 2))
    if config.model == "gaussian":
        return rows.norm(dim=1).view(count, height, width)
    parts = [nearest.mean(1) for nearest, _ in nearest_patches(state["memory"], rows, config.neighbours)]
    return torch.cat(parts).view(count, height, width)


def place_distances(state: State, features: Tensor) -> Tensor:
    chosen = features[:, state["channels"]].permute(2, 3, 0, 1)
    if chosen.shape[:2] != state["mean"].shape[:2]:
        raise UserError(
            f"images have {tuple(chosen.shape[:2])} places and the fit {tuple(state['mean'].shape[:2])}",
            fix="'gaussian_per_place' scores images of one size",
        )
    centred = chosen - state["mean"][:, :, None]
    return (centred @ state["whitening"]).norm(dim=-1).permute(2, 0, 1)


def nearest_patches(memory: Tensor, rows: Tensor, count: int) -> Iterable[tuple[Tensor, Tensor]]:
    """Distances to the nearest patches of the memory, nearest first, and which they are: blocks of (rows, count)."""
    count = min(count, len(memory))
    if isinstance(rows.shape[0], torch.SymInt):  # an exported program takes any number of rows, so it has no blocks
        squares = rows.square().sum(1, keepdim=True) + memory.square().sum(1) - 2 * rows @ memory.mT
        chosen = squares.topk(count, largest=False)
        yield chosen.values.clamp(min=0).sqrt(), chosen.indices
        return
    for block in rows.split(max(1, DISTANCES_AT_ONCE // len(memory))):
        nearest = torch.cdist(block, memory).topk(count, largest=False)
        yield nearest.values, nearest.indices


def reweighted(state: State, features: Tensor) -> Tensor:
    """(n,) PatchCore's image scores (its Eq. 7): the distance of the patch that is farthest from the memory, times
    1 - softmax of its distances to that memory's neighbours, so that a rare normal patch vouches for less."""
    count, dims = features.shape[:2]
    rows = whitened(state, features.permute(0, 2, 3, 1).reshape(-1, dims))
    blocks = list(nearest_patches(state["memory"], rows, 1))
    far, where = (torch.cat(parts).view(count, -1) for parts in zip(*blocks, strict=True))
    distance, patch = far.max(1)
    image = torch.arange(count, device=patch.device)
    rows = rows.view(count, -1, rows.shape[1])[image, patch]
    nearest = state["memory"][where[image, patch]]
    relatives = [ids for _, ids in nearest_patches(state["memory"], nearest, RELATIVES)]
    to_relatives = (rows[:, None] - state["memory"][torch.cat(relatives)]).norm(dim=2)
    return (1 - to_relatives.softmax(1)[:, 0]) * distance
