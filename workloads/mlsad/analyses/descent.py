"""Gradient descent on pixels towards images that a detector takes for normal (robustness probe, section 4.3)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from workloads.data.conform import as_channels
from workloads.mlsad.mrf import to_signed
from workloads.mlsad.networks.layers import at_once
from workloads.mlsad.pooling import pooled
from workloads.mlsad.scorer import LevelScorer
from workloads.training.optimisers import descend

AT_ONCE = 64  # images of 32 x 32
BETAS = (0.9, 0.999)  # guess
FLAT = 1e-3  # less contrast than one step of the 8-bit grid: such an image has no direction


def detector_score(scorers: Sequence[LevelScorer], x: Tensor) -> Tensor:
    """A(x) of Eq. 4, (N,) in [0, 1], differentiable: windows pooled within each level, then the mean over levels.

    `x`: (N, C, S, S) in [-1, 1], C the data's channels. Grey is repeated where the networks see RGB, so what is found
    for grey data is grey.
    """
    levels = [pooled(scorer.windows(as_channels(x, scorer.channels)), scorer.pooling) for scorer in scorers]
    return torch.stack(levels).mean(0)


def pull_away(x: Tensor) -> Tensor:
    """PT of Eq. 5, a scalar in [0, 1]: the mean over ordered pairs of images of their squared cosine.

    `x`: (N, C, S, S). The paper's variant is not in its text; this is EBGAN's form on pixels less each image's own
    mean, a guess: plain pixels in [-1, 1] would all be alike by their brightness. 0 where there is no pair.
    """
    n = len(x)
    if n < 2:
        return x.new_zeros(())
    flat = x.flatten(1)
    directions = F.normalize(flat - flat.mean(1, keepdim=True), dim=1, eps=FLAT)
    squares = (directions @ directions.T).square()
    return (squares.sum() - squares.diagonal().sum()) / (n * (n - 1))


def rising(score: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (N,) of images (N, C, S, S) and each one's own gradient, (N, C, S, S).

    A few images at a time, as many pixels as 64 images of 32 x 32 have: the graph of every window of a whole batch of
    large images would fit into no memory.
    """
    values, slopes = [], []
    for part in x.detach().split(at_once(AT_ONCE, x.shape[-1])):
        leaf = part.clone().requires_grad_()
        value = score(leaf)
        slopes.append(torch.autograd.grad(value.sum(), leaf)[0])
        values.append(value.detach())
    return torch.cat(values), torch.cat(slopes)


def descend_pixels(
    score: Callable[[Tensor], Tensor], starts: Sequence[Tensor], steps: int, lr: float, weight: float
) -> "Descent":
    """Minimise mean A(X) + weight * PT(X) over each batch X of `starts`, uint8 (N, C, S, S), by Adam.

    `score` gives each image its own number, whatever it comes with. Pixels are clipped to [-1, 1] after every update.
    The batches go through the networks together and stay independent: each has its own objective, and Adam treats every
    pixel alone.
    """
    sizes = [len(start) for start in starts]
    x = to_signed(torch.cat(list(starts))).requires_grad_()
    optimiser = torch.optim.Adam([x], lr=lr, betas=BETAS)
    objectives, scores = [], []
    for step in range(steps + 1):
        values, slopes = rising(score, x)
        mean = torch.stack([part.mean() for part in values.split(sizes)])
        apart = weight * torch.stack([pull_away(part) for part in x.split(sizes)])
        objectives.append(mean + apart.detach())
        scores.append(mean)
        if step == steps:
            break
        slope = torch.cat([part / len(part) for part in slopes.split(sizes)])
        descend(optimiser, [slope + torch.autograd.grad(apart.sum(), x)[0]])
        with torch.no_grad():
            x.clamp_(-1, 1)
    return Descent(list(x.detach().split(sizes)), torch.stack(objectives), torch.stack(scores))


@dataclass(frozen=True)
class Descent:
    """Where the batches ended and how they got there; row t of a trajectory is after t updates."""

    ends: list[Tensor]  # of each batch, float32 (N, C, S, S) in [-1, 1]
    objectives: Tensor  # (steps + 1, batches)
    scores: Tensor  # (steps + 1, batches), mean A alone
