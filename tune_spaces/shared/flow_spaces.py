"""What the flow paper's spaces have in common; a space says what is its own."""

from typing import Any

from tune_spaces.schema import Auxiliary, Data, Scheduler, Space
from tune_spaces.shared.presets import FLOW_PRESETS

PHOTO_TILES = Auxiliary(name="photo_tiles")  # comes with scikit-learn


def flow_space(data: Data, **values: Any) -> Space:
    """A flow of `data` by the paper's schedule, every trial trained to its end; `values` are a space's own keys."""
    common = {"scheduler": Scheduler(kind="fifo"), "analyses": ("correlation", "samples", "curves")}
    return Space(**{"workload": "flow", "data": data, "presets": FLOW_PRESETS, **common, **values})
