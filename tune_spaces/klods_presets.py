"""Flows and pairs of datasets that the KLODS spaces share. A preset never touches the method."""

from tune_spaces.presets import FLOW_PRESETS
from tune_spaces.schema import Data, Preset, PresetName, Scheduler, Search, Space
from workloads.flows.config import PUBLISHED_SCHEDULES

KLODS_PRESETS: dict[PresetName, Preset] = {  # KLODS' own flow and schedule are not known: those of other flows (guess)
    name: preset.model_copy(
        update={"config": {key: value for key, value in preset.config.items() if not key.startswith("general_")}}
    )
    for name, preset in FLOW_PRESETS.items()
}


def pair(name: str, *out: str, splits: tuple[str, ...] = ("patches_2", "patches_4")) -> Space:
    """A whole dataset as normal against others, pure groups, the default score by every split and reference."""
    return Space(
        workload="klods",
        data=Data(name=name, protocol="in_out", side=32, out=out),
        fixed=PUBLISHED_SCHEDULES.get(name, {}),
        axes={
            "split": splits,
            "group_score": ("klods_prior", "klods_train"),
            "level": ("z1", "z2", "z3", "sum"),
        },
        search=Search(kind="grid"),
        scheduler=Scheduler(kind="fifo"),
        presets=KLODS_PRESETS,
    )
