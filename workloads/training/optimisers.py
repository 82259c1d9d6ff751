"""Fused Adam walks weights, gradients and moments in storage order and checks nothing: all must share one layout.

A channels-last weight with a contiguous gradient or moment would silently be updated with other weights' numbers.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from workloads.errors import UserError


def aligned(value: Tensor, like: Tensor) -> Tensor:
    """The same values in the memory layout of `like`."""
    return value if value.stride() == like.stride() else torch.empty_like(like, dtype=value.dtype).copy_(value)


def descend(optimiser: torch.optim.Optimizer, gradients: Iterable[Tensor]) -> None:
    """One step of an optimiser of one parameter group with these gradients, in the order of its parameters."""
    for parameter, gradient in zip(optimiser.param_groups[0]["params"], gradients, strict=True):
        parameter.grad = aligned(gradient, parameter)
    optimiser.step()


def load_optimiser(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Like `load_state_dict`, for a state whose tensors lost their layout on disk. Raises UserError for one of a
    network of other parameters, as an earlier version may have had."""
    counts = [len(group["params"]) for group in optimiser.param_groups]
    kept = [len(group["params"]) for group in state["param_groups"]]
    if counts != kept:
        raise UserError(
            "the optimiser's state is of a network of an earlier version: its training cannot go on",
            details=f"it is of {sum(kept)} tensors, and this version trains {sum(counts)}",
            fix="launch it anew, under another --name",
        )
    optimiser.load_state_dict(state)
    for parameter, values in optimiser.state.items():
        for key, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                values[key] = aligned(value, parameter)
