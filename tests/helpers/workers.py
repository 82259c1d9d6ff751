"""Two processes that talk by gloo, and what both and this one make with the same function."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from workloads.training.distributed import Parallel

WORLD = 2
Train = Callable[[Parallel], dict[str, Any]]


def worker(rank: int, folder: str, train: Train) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=WORLD)
    torch.save(train(Parallel(rank, WORLD)), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def one_and_two(train: Train, folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What `train`, a function of a test module, makes in this process, and what it makes in each of two workers.

    Workers are forked from a server that has imported torch once for all tests, and has no threads.
    """
    multiprocessing.set_forkserver_preload(["tests.helpers.workers"])
    mp.start_processes(worker, (str(folder), train), nprocs=WORLD, start_method="forkserver")
    made = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(WORLD)]
    torch.set_num_threads(1)
    return train(Parallel()), made
