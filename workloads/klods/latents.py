"""What counts as latents: one array (N, C, H, W) a level, finite, all levels of the same N images."""

from collections.abc import Sequence

import torch
from torch import Tensor

from workloads.errors import UserError

Latents = Sequence[Tensor]
"""One tensor (N, C_i, H_i, W_i) a level, level z1 first; floating point, any device."""


def checked(latents: Latents, where: str) -> int:
    """The number of images N >= 1. Raises UserError for what is not latents; `where` names them in messages."""
    if not latents:
        raise UserError("no levels of latents", where=where)
    for number, level in enumerate(latents, 1):
        if level.ndim != 4 or not level.is_floating_point():
            raise UserError(
                f"level z{number} is {str(level.dtype).removeprefix('torch.')} {tuple(level.shape)}",
                where=where,
                fix="floating-point latents (N, C, H, W); flat latents (N, D) become (N, D, 1, 1) or (N, 1, 1, D)",
            )
        if not level.numel():
            raise UserError(f"level z{number} is empty: {tuple(level.shape)}", where=where)
        odd = int((~torch.isfinite(level)).flatten(1).any(1).sum())
        if odd:
            raise UserError(
                f"level z{number} has NaN or infinite values in {odd} of {len(level)} images",
                where=where,
                fix="leave those images out, and count them: a flow that fails on an image is itself a finding",
            )
    counts = {len(level) for level in latents}
    if len(counts) > 1:
        raise UserError(f"levels of {sorted(counts)} images", where=where, fix="the same images in every level")
    return len(latents[0])


def check_alike(latents: Latents, train: Latents, where: str) -> None:
    """Raises UserError unless the levels have the shapes of the training latents'."""
    shapes, expected = ([tuple(level.shape[1:]) for level in some] for some in (latents, train))
    if shapes != expected:
        raise UserError(f"levels of {shapes}, the training latents have {expected}", where=where)


def prior_log_density(latents: Latents) -> Tensor:
    """(N,) float64: log N(z; 0, I) in nats over all levels, without the flow's log-determinant."""
    flat = [level.flatten(1).double() for level in latents]
    size = sum(level.shape[1] for level in flat)
    squares = torch.stack([level.square().sum(1) for level in flat]).sum(0)
    return -0.5 * (squares + size * torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64)).item())
