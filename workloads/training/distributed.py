"""Data-parallel arithmetic: N workers must do exactly what one worker would do with the whole batch.

Every random tensor is drawn whole on every worker from the same generator and each worker keeps its rows; gradients and
batch statistics are averaged or summed. So the only difference between one worker and several is the order of float
additions.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Parallel:
    """This worker's place among `world` workers that share one network."""

    rank: int = 0
    world: int = 1

    def rows(self, batch: int) -> slice:
        """This worker's rows of a global batch; shares differ by one row where the batch has no equal ones."""
        return slice(batch * self.rank // self.world, batch * (self.rank + 1) // self.world)

    def require_equal_rows(self, batch: int) -> None:
        """Raises ValueError where a batch has no equal shares: means over workers are then not those over images."""
        if batch % self.world:
            raise ValueError(f"a batch of {batch} cannot be shared equally by {self.world} workers")

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the workers, in one message. All are of one dtype."""
        if self.world == 1:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        offset = 0
        for t in tensors:
            t.copy_(flat[offset : offset + t.numel()].view_as(t))
            offset += t.numel()

    def average_(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the workers, in one message."""
        if self.world == 1:
            return
        self.sum_(tensors)
        for t in tensors:
            t /= self.world

    def agree_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by the first worker's, to the last bit."""
        if self.world == 1:
            return
        for t in tensors:
            same = t.contiguous()
            dist.broadcast(same, 0)
            t.copy_(same)

    def mean(self, value: Tensor) -> Tensor:
        """Mean over the workers; gradients flow through it."""
        total: Tensor = value if self.world == 1 else _Sum.apply(value)
        return total / self.world

    def gather(self, value: Tensor) -> Tensor:
        """All workers' rows in order, (world * B, ...); gradients flow through it."""
        rows: Tensor = value if self.world == 1 else _Gather.apply(value, self)
        return rows


def _total(value: Tensor) -> Tensor:
    total = value.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


class _Sum(torch.autograd.Function):
    """Sum over the workers. Each worker's loss depends on each worker's share, so gradients are summed as well.

    torch.distributed.nn offers the same, deprecated since torch 2.15.
    """

    @staticmethod
    def forward(_ctx: Any, value: Tensor) -> Tensor:
        return _total(value)

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        return _total(gradient)


class _Gather(torch.autograd.Function):
    """All workers' rows; the gradients that the workers' losses give a row are summed."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, parallel: Parallel) -> Tensor:
        ctx.parallel = parallel
        parts = [torch.empty_like(value, memory_format=torch.contiguous_format) for _ in range(parallel.world)]
        dist.all_gather(parts, value.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _total(gradient)[ctx.parallel.rows(len(gradient))], None


class Draws:
    """Random tensors of one step, reproducible for a seed and equal for any number of workers."""

    def __init__(self, seed: int, device: torch.device, parallel: Parallel) -> None:
        self.device, self.parallel = device, parallel
        self.generator = torch.Generator(device).manual_seed(seed)

    def normal(self, shape: Sequence[int]) -> Tensor:
        """N(0, 1), `shape` is the global shape; this worker's rows are returned."""
        return self.mine(torch.randn(tuple(shape), generator=self.generator, device=self.device))

    def uniform(self, shape: Sequence[int]) -> Tensor:
        """U[0, 1), `shape` is the global shape; this worker's rows are returned."""
        return self.mine(torch.rand(tuple(shape), generator=self.generator, device=self.device))

    def integers(self, high: int, shape: Sequence[int], low: int = 0) -> Tensor:
        """Integers in [low, high), the global tensor whole (indices are needed by every worker)."""
        return torch.randint(low, high, tuple(shape), generator=self.generator, device=self.device)

    def kept(self, share: float, shape: Sequence[int]) -> Tensor:
        """Booleans, true with probability `share` (to 1 in 65,536); `shape` is global, this worker's rows are returned.

        Sixteen random bits each: dropout draws more numbers than everything else, and whole floats are slow to make.
        """
        count = math.prod(shape)
        words = torch.empty(-(-count // 4), dtype=torch.int64, device=self.device)
        words.random_(-(2**63), None, generator=self.generator)
        bits = words.view(torch.int16)[:count].view(tuple(shape))
        return self.mine(bits) < round(share * 2**16) - 2**15

    def mine(self, whole: Tensor) -> Tensor:
        return whole[self.parallel.rows(len(whole))]
