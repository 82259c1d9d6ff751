"""GOD1KS and GOD2KS: Kolmogorov-Smirnov distances of randomly projected latents, mean over directions.

After the anonymous "Revisiting flow generative models for OOD detection"; 50 directions are its number for RealNVP. A
group's latents are projected onto fixed random unit directions and compared with N(0, 1) (1KS) or with the projected
training latents (2KS). Scores lie in [0, 1], higher = more anomalous. No covariance is estimated, so a group may be
smaller than its latents. Time is linear in the images, times log N for sorting and, in 2KS, searching.
"""

import torch
from torch import Tensor

from workloads.klods.latents import Latents


def directions(latents: Latents, count: int, seed: int) -> list[Tensor]:
    """A (D_i, count) float64 matrix a level: together, columns of length 1, the directions of normalised Gaussians.

    Drawn on the CPU, so every device gets the same.
    """
    sizes = [level[0].numel() for level in latents]
    drawn = torch.randn(sum(sizes), count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    unit = drawn / drawn.norm(dim=0)
    return [part.to(level.device) for part, level in zip(unit.split(sizes), latents, strict=True)]


def project(latents: Latents, onto: list[Tensor], block: int = 4096) -> Tensor:
    """(N, count) float64: every image's latents, all levels joined, onto every direction; `block` images at a time."""
    pieces = []
    for start in range(0, len(latents[0]), block):
        rows = (level[start : start + block].flatten(1).double() for level in latents)
        pieces.append(torch.stack([row @ part for row, part in zip(rows, onto, strict=True)]).sum(0))
    return torch.cat(pieces)


def one_sample(projected: Tensor, members: Tensor) -> Tensor:
    """GOD1KS, (G,): mean over directions of the KS statistic against N(0, 1), of (N, count) and members (G, size)."""
    expected = torch.special.ndtr(projected[members].sort(1).values)
    return _distance(expected, expected).mean(1)


def two_sample(projected: Tensor, members: Tensor, reference: Tensor) -> Tensor:
    """GOD2KS, (G,): mean over directions of the KS statistic against the training latents.

    reference: (count, N0), each direction's training projections in ascending order (`sorted_reference`).
    """
    ordered = projected[members].sort(1).values
    queries = ordered.flatten(0, 1).mT.contiguous()
    below, upto = (
        (torch.searchsorted(reference, queries, side=side).double() / reference.shape[1]).mT.reshape(ordered.shape)
        for side in ("left", "right")
    )
    return _distance(below, upto).mean(1)


def sorted_reference(projected: Tensor) -> Tensor:
    """(N0, count) -> (count, N0), ascending along each row."""
    return projected.mT.contiguous().sort(1).values


def _distance(below: Tensor, upto: Tensor) -> Tensor:
    """(G, count) sup |F_group - F| from F just below and at each of the group's sorted points, (G, size, count).

    F_group is a step function, so the supremum is at one of its steps: after it against F, or before it against F-.
    """
    size = upto.shape[1]
    after = torch.arange(1, size + 1, dtype=upto.dtype, device=upto.device).view(1, -1, 1) / size
    return torch.maximum((after - upto).amax(1), (below - after + 1 / size).amax(1))
