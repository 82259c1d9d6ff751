"""The order in which images are seen."""

import torch
from torch import Tensor

from workloads.seeds import derive_seed


def batch_rows(seed: int, step: int, batch: int, size: int) -> Tensor:
    """Row indices (batch,) int64 of global batch number `step` of an endless shuffled pass over `size` rows.

    Epoch e is a permutation seeded by (seed, e); batches run on across epochs, so every row is seen equally often
    whatever the batch size, also where the batch is larger than the data. Stateless: any step can be asked for.
    """
    start = step * batch
    rows: list[Tensor] = []
    taken = 0
    while taken < batch:
        epoch, offset = divmod(start + taken, size)
        order = torch.randperm(size, generator=torch.Generator().manual_seed(derive_seed(seed, "epoch", epoch)))
        piece = order[offset : offset + batch - taken]
        rows.append(piece)
        taken += len(piece)
    return torch.cat(rows)
