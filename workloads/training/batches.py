"""The order in which images are seen."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from workloads.data.view import TargetView
from workloads.training.distributed import Parallel
from workloads.training.seeds import derive_seed
from workloads.units import GENERAL, Unit

CPU = torch.device("cpu")


def order_seed(seed: int, unit: Unit) -> int:
    """The seed of the order in which a unit of a run sees its training images; whoever needs their labels asks, too."""
    return derive_seed(seed, unit, "order")


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, size: int, device: torch.device = CPU) -> Tensor:
    """The permutation of one epoch, int64 (size,); kept, for a million images' takes longer than their batch's step.

    Every device has the CPU's. It goes there once an epoch, and nobody waits for it."""
    order = torch.randperm(size, generator=torch.Generator().manual_seed(derive_seed(seed, "epoch", epoch)))
    return order if device.type == "cpu" else order.pin_memory().to(device, non_blocking=True)


def batch_rows(seed: int, step: int, batch: int, size: int, device: torch.device = CPU) -> Tensor:
    """Row indices (batch,) int64, on the device, of global batch number `step` of an endless shuffled pass over `size`
    rows.

    Epoch e is a permutation seeded by (seed, e); batches run on across epochs, so every row is seen equally often
    whatever the batch size, also where the batch is larger than the data. Stateless: any step can be asked for.
    """
    start = step * batch
    rows: list[Tensor] = []
    taken = 0
    while taken < batch:
        epoch, offset = divmod(start + taken, size)
        piece = epoch_order(seed, epoch, size, device)[offset : offset + batch - taken]
        rows.append(piece)
        taken += len(piece)
    return torch.cat(rows)


def unit_batches(unit: Unit, seed: int, view: TargetView, size: int, parallel: Parallel) -> Callable[[int], Tensor]:
    """Step -> this worker's rows of a batch of `size` images of the unit's target, uint8 (b, C, H, W) on the device.

    Their order is a function of the config's seed and the step. Where the target is a streamed auxiliary set, the
    stream gives them.
    """
    order, stream, images = order_seed(seed, unit), view.stream, view.train
    if unit.target == GENERAL and stream is not None:
        return lambda step: stream.batch(order, size, step, parallel)
    rows = parallel.rows(size)
    return lambda step: images[batch_rows(order, step, size, len(images), images.device)[rows]]
