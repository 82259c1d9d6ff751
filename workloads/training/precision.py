"""In which numbers networks train. Scores are float32 always.

`bf16`: the networks' matrix products and convolutions in bfloat16; weights, losses and optimisers in float32.
`auto` becomes the one or the other before anything trains: bf16 where the device computes it faster than float32.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workloads.keys import PRECISION, Precision

if TYPE_CHECKING:  # planning needs no torch
    import torch

NAMES: Mapping[bool, Precision] = {False: "fp32", True: "bf16"}
AMPERE = (8, 0)
"""CUDA's capability of the first GPUs whose matrix units take bfloat16; older ones emulate it."""


def fast(device: "torch.device") -> Precision:
    """What `auto` becomes on a device: bf16 on a GPU from Ampere on, and on a CPU with AMX or AVX512-BF16."""
    import torch

    if device.type == "cuda":
        able = torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= AMPERE
    else:
        able = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if able else "fp32"


@contextmanager
def computing_in(precision: Precision, device: "torch.device") -> Iterator[None]:
    """Networks that are called inside compute in this precision. Raises ValueError for `auto`."""
    import torch

    if precision == "auto":
        raise ValueError("precision 'auto' becomes fp32 or bf16 before anything trains")
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        yield


def upgraded(workload: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Values of keys, or axes of several, as earlier versions wrote them: flows had `autocast`, true or false."""
    values = dict(config)
    if workload in ("flow", "klods") and "autocast" in values:
        old = values.pop("autocast")
        values[PRECISION] = [NAMES[item] for item in old] if isinstance(old, list | tuple) else NAMES[old]
    return values


def upgraded_space(space: Mapping[str, Any]) -> dict[str, Any]:
    """A stored space of an earlier version, as plain data."""
    workload = space["workload"]
    presets = {
        name: {**rest, "config": upgraded(workload, rest["config"])} for name, rest in space.get("presets", {}).items()
    }
    fixed, axes = upgraded(workload, space.get("fixed", {})), upgraded(workload, space.get("axes", {}))
    return {**space, "fixed": fixed, "axes": axes, "presets": presets}
