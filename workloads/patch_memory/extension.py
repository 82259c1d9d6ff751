"""Further normal images for a memory, without those that it was fitted to."""

from collections.abc import Iterable

import torch
from torch import Tensor

from workloads.errors import UserError
from workloads.learner import State
from workloads.patch_memory.config import PatchMemoryConfig
from workloads.patch_memory.memory import Moments, Numbers, coreset, whitened


def extended(config: PatchMemoryConfig, state: State, chunks: Iterable[Tensor], numbers: Numbers) -> State:
    """The state once the features (n, D, h, w) of further normal images are added. numbers: of what each of these
    shows, other ones than those of the state, see `next_number`.

    A Gaussian is then that of all images, as if fitted to them together, but for rounding. Of a memory the coreset is
    chosen among its patches and the new images' candidates, in features whitened by all. Raises UserError for a state
    of an earlier version, which does not say of how many patches it is.
    """
    needed = {"mean": "patches", "memory": "images", "usual": "usual_of"}
    if any(known in state and lacking not in state for known, lacking in needed.items()):
        headline = "this memory was fitted by an earlier version, which did not keep what adding to it needs"
        raise UserError(headline, fix="launch anew with all images")
    moments, per_image = moments_of(config, state), -(-config.candidates // len(numbers))
    candidates: list[Tensor] = []
    for chunk in chunks:
        if config.model == "gaussian_per_place":
            moments.add(chunk[:, state["channels"]].permute(2, 3, 0, 1))
            continue
        rows = chunk.permute(0, 2, 3, 1).flatten(1, 2)
        if "whitening" in state:
            moments.add(rows.flatten(0, 1))
        candidates += [image[torch.randperm(len(image))[:per_image].to(image.device)] for image in rows]
    further = dict(state)
    if "whitening" in state:
        whitening = moments.whitening(config.shrinkage)
        further |= {"mean": moments.mean, "whitening": whitening, "patches": moments.count}
    if config.model == "neighbours":
        old, new = whitened(further, unwhitened(state, state["memory"])), whitened(further, torch.cat(candidates))
        lengths = torch.tensor([len(part) for part in candidates])
        numbered = torch.from_numpy(numbers).repeat_interleave(lengths)
        patches, images_of = torch.cat([old, new]), torch.cat([state["images"], numbered.to(old.device)])
        chosen = coreset(patches, config.memory, config.projection)
        further |= {"memory": patches[chosen].contiguous(), "images": images_of[chosen]}
    return further


def next_number(state: State) -> int:
    """The number of the first image that is added: what kept patches are of has lower ones."""
    return int(state["images"].max()) + 1 if "images" in state else 0


def moments_of(config: PatchMemoryConfig, state: State) -> Moments:
    """Those that the state was fitted with; of one that keeps none, an empty sum."""
    moments = Moments()
    if "whitening" not in state:
        return moments
    mean, inverse = state["mean"].double(), torch.linalg.inv(state["whitening"].double())
    shrunk = inverse.mT @ inverse
    identity = torch.eye(shrunk.shape[-1], dtype=shrunk.dtype, device=shrunk.device)
    spread = (shrunk.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None] - Moments.LEAST) / (1 + config.shrinkage)
    covariance = shrunk - (config.shrinkage * spread + Moments.LEAST) * identity
    moments.count = state["patches"]
    moments.total = mean * moments.count
    moments.products = (covariance + mean[..., :, None] * mean[..., None, :]) * moments.count
    return moments


def unwhitened(state: State, rows: Tensor) -> Tensor:
    """Rows (N, D) as they were before `whitened`."""
    if "whitening" not in state:
        return rows
    return (rows.double() @ torch.linalg.inv(state["whitening"].double())).float() + state["mean"]
