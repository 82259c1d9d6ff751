"""What a piece of code asks of an accelerator, counted on a machine without one: operations, and waits of the host.

Tensors are fake ones that claim to lie on an accelerator, so nothing is computed. Everything that makes a host wait for
a GPU is counted: values that are read (`item`, `tolist`, `cpu`, `numpy`, `bool`), results whose shape depends on values
(boolean masks, `nonzero`), checks of a decomposition's errors, and copies from and to memory of the host, indices and
Python's lists among them, unless they are asked for without blocking. It is what `torch.cuda.set_sync_debug_mode`
refuses on a real GPU.

The accelerator is torch's lazy device: a backward pass on fake CUDA tensors asks CUDA's driver for the device, and no
code here tells one accelerator from another. What torch knows of CUDA alone is told it: optimisers that are fused, and
autocast, without which everything counts as in float32.
"""

import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from workloads.training.batches import epoch_order

ACCELERATOR = torch.device("lazy")
READ: dict[str, Callable[[Tensor], Any]] = {
    "item": lambda value: 1.0 if value.is_floating_point() else 1,
    "tolist": lambda value: np.zeros(tuple(value.shape)).tolist(),
    "numpy": lambda value: np.zeros(tuple(value.shape), str(value.dtype).removeprefix("torch.")),
    "__bool__": lambda _value: True,
    "__float__": lambda _value: 1.0,
    "__int__": lambda _value: 1,
    "__index__": lambda _value: 1,
}
"""Function that reads values -> values for a tensor that has none."""
FUSED = [ACCELERATOR.type, "cpu"]
WAITING = ("nonzero", "masked_select", "_unique2", "unique_dim", "_linalg_check_errors", "equal")
FROM_LISTS = ("tensor", "new_tensor", "as_tensor")
LOOKS = (
    "device",
    "view",
    "alias",
    "detach",
    "expand",
    "permute",
    "transpose",
    "t",
    "select",
    "slice",
    "split",
    "unsqueeze",
)
"""Beginnings of the names of operations that start no kernel."""


@dataclass
class DeviceWork:
    """waits: "operation at file:line" -> how often the host waited there. operations: by name."""

    waits: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)

    def wait(self, what: str) -> None:
        frames = [frame for frame in traceback.extract_stack() if "/workloads/" in frame.filename]
        place = f"{frames[-1].filename.rpartition('/workloads/')[2]}:{frames[-1].lineno}" if frames else "?"
        self.waits[f"{what} at {place}"] += 1

    def clear(self) -> None:
        self.waits.clear()
        self.operations.clear()


def on_device(value: Any) -> bool:
    return isinstance(value, Tensor) and value.device.type == ACCELERATOR.type


def on_host(value: Any) -> bool:
    """Whether a tensor of several values lies in the host's memory."""
    return isinstance(value, Tensor) and value.device.type == "cpu" and value.dim() > 0


class Reads(TorchFunctionMode):
    """Counts what reads values, which a dispatch mode does not see."""

    def __init__(self, work: DeviceWork) -> None:
        super().__init__()
        self.work = work

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name in READ:
            if on_device(args[0]):
                self.work.wait(name)
            return READ[name](args[0])
        if name == "pin_memory":
            return args[0]
        if name == "__deepcopy__":
            copied = args[0].detach().clone()
            return nn.Parameter(copied, args[0].requires_grad) if isinstance(args[0], nn.Parameter) else copied
        if name in FROM_LISTS and (on_device(args[0]) or torch.device(kwargs.get("device") or "cpu") == ACCELERATOR):
            self.work.wait(name)
        return func(*args, **kwargs)


class Operations(TorchDispatchMode):
    """Counts operations of the accelerator, and those among them that wait."""

    def __init__(self, work: DeviceWork) -> None:
        super().__init__()
        self.work = work

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, func.__name__.partition(".")[0]
        mask = self.masked(name, args)
        values = tree_leaves((args, kwargs))
        if name in ("_to_copy", "copy_"):
            self.copy(name, args, kwargs)
        elif any(map(on_device, values)) and (mask or name in WAITING or any(map(on_host, values))):
            self.work.wait(name)
        if mask:
            return args[0]
        out = func(*args, **kwargs)
        if any(map(on_device, [*values, *tree_leaves(out)])) and not name.startswith(LOOKS):
            self.work.operations[name] += 1
        return out

    @staticmethod
    def masked(name: str, args: Any) -> bool:
        return name == "index" and any(t is not None and t.dtype == torch.bool for t in args[1]) and on_device(args[0])

    def copy(self, name: str, args: Any, kwargs: Any) -> None:
        if name == "_to_copy":
            target = torch.device(kwargs.get("device") or args[0].device)
            crosses = (target.type == "cpu") != (args[0].device.type == "cpu")
            blocking = not kwargs.get("non_blocking", False)
        else:
            crosses = (args[0].device.type == "cpu") != (args[1].device.type == "cpu") and args[1].dim() > 0
            blocking = not (len(args) > 2 and args[2])
        if crosses and blocking:
            self.work.wait(name)


class NoGenerator:
    """In place of a generator of random numbers, which an accelerator that is not there has none of."""

    def __init__(self, _device: Any = None) -> None: ...

    def manual_seed(self, _seed: int) -> None: ...


def moved(module: nn.Module, change: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """As `Module._apply`, which swaps parameters in place and cannot where they are fake."""
    for child in module.children() if recurse else ():
        moved(child, change)
    for name, parameter in module._parameters.items():
        if parameter is not None:
            module._parameters[name] = nn.Parameter(change(parameter.detach()), parameter.requires_grad)
    for name, buffer in module._buffers.items():
        module._buffers[name] = None if buffer is None else change(buffer)
    return module


@contextmanager
def counted() -> Iterator[DeviceWork]:
    """Counts the work of whatever is made and run inside, on `ACCELERATOR`."""
    work = DeviceWork()
    with ExitStack() as stack:
        stack.callback(epoch_order.cache_clear)
        epoch_order.cache_clear()
        stack.enter_context(patch.object(torch, "Generator", NoGenerator))
        stack.enter_context(patch.object(nn.Module, "_apply", moved))
        stack.enter_context(patch.object(torch, "autocast", lambda *_args, **_kwargs: nullcontext()))
        stack.enter_context(patch("torch.optim.optimizer._get_fused_kernels_supported_devices", lambda: FUSED))
        stack.enter_context(patch.object(FakeTensor, "tolist", torch.Tensor.tolist))  # its own reads value by value
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(Operations(work))
        stack.enter_context(Reads(work))
        yield work
