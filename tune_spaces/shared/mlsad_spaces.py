"""What the MLSAD paper's spaces have in common: its search grid (Table 10), and one point where it searches nothing."""

from collections.abc import Mapping
from typing import Any

from tune_spaces.schema import Data, Preset, PresetName, Scheduler, Search, Space
from tune_spaces.shared.presets import MLSAD_PRESETS

PUBLISHED_GRID: dict[str, tuple[Any, ...]] = {
    "batch_size": (8, 16, 32, 64),
    "weight_decay": (1e-3, 5e-4, 1e-4, 5e-5),
    "noise": (0.0, 0.05, 0.1),
    "lambda_structure": (0.4, 0.6, 1.0),
    "lambda_position": (0.4, 0.6, 1.0),
    "blocks": (1, 2),
}
"""4 * 4 * 3 * 3 * 3 * 2 = 864 points."""
Presets = Mapping[PresetName, Preset]


def mlsad_space(data: Data, presets: Presets = MLSAD_PRESETS, preset: PresetName = "paper", **values: Any) -> Space:
    """MLSAD of `data`, every trial trained to its end; without `axes` one point: the paper does not say which it took
    where it does not search. `values` are a space's own keys."""
    common = {"workload": "mlsad", "data": data, "presets": presets, "preset": preset}
    return Space(**{**common, "scheduler": Scheduler(kind="fifo"), **values})


def published_sweep(name: str, presets: Presets = MLSAD_PRESETS, preset: PresetName = "paper", **values: Any) -> Space:
    """32 random points of the published grid under ASHA, images of 32 x 32 pixels."""
    common = {"axes": PUBLISHED_GRID, "search": Search(points=32), "scheduler": Scheduler(eta=3, first_rung=0.04)}
    return mlsad_space(Data(name=name, side=32), presets, preset, **common, **values)
