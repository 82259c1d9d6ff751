"""Flows and pairs of datasets that the KLODS spaces share. A preset never touches the method.

Winners are chosen by anomalies made of held-out latents, whose neighbours are correlated: by construction that favours
patches over channels, and KLODS over likelihood, typicality and input complexity, which cannot see the change.
"""

from collections.abc import Mapping

from tune_spaces.schema import Data, Preset, PresetName, Scheduler, Search, Space
from tune_spaces.shared.presets import FLOW_PRESETS
from workloads.flows.config import PUBLISHED_SCHEDULES

KLODS_PRESETS: dict[PresetName, Preset] = {  # KLODS' own flow and schedule are not known: those of other flows (guess)
    name: preset.model_copy(
        update={"config": {key: value for key, value in preset.config.items() if not key.startswith("general_")}}
    )
    for name, preset in FLOW_PRESETS.items()
}


FEW: Preset = KLODS_PRESETS["reduced"].model_copy(  # for hundreds of images: more and smaller steps
    update={"config": KLODS_PRESETS["reduced"].config | {"epochs": 20.0, "batch_size": 16}}
)
LEVELS = {"level": ("z1", "z2", "z3", "sum")}


def pair(
    name: str,
    *out: str,
    splits: tuple[str, ...] = ("patches_2", "patches_4"),
    levels: Mapping[str, tuple[str, ...]] = LEVELS,
    reduced: Preset = KLODS_PRESETS["reduced"],
    val_fraction: float = 0.1,
) -> Space:
    """A whole dataset as normal against others, pure groups, the default score by every split and reference."""
    return Space(
        workload="klods",
        data=Data(name=name, protocol="in_out", side=32, out=out, val_fraction=val_fraction),
        fixed=PUBLISHED_SCHEDULES.get(name, {}),
        axes={"split": splits, "group_score": ("klods_prior", "klods_train"), **levels},
        search=Search(kind="grid"),
        scheduler=Scheduler(kind="fifo"),
        analyses=("selection", "latents"),
        presets=KLODS_PRESETS | {"reduced": reduced},
    )
