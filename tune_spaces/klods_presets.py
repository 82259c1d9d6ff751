"""Flows and pairs of datasets that the KLODS spaces share. A preset never touches the method."""

from tune_spaces.schema import Data, Preset, PresetName, Scheduler, Search, Space
from workloads.flows.config import PUBLISHED_SCHEDULES

KLODS_PRESETS: dict[PresetName, Preset] = {
    # KLODS' own flow and schedule are not known: those of Schirrmeister et al. (guess)
    "paper": Preset(),
    # two CPU cores: an eighth of the width, a quarter of the steps, a larger rate with a warm-up for a short schedule
    "reduced": Preset(
        config={"steps": 8, "hidden": 64, "epochs": 6.0, "lr": 2e-3, "warmup_steps": 50},
        max_train_images=5000,
        max_out_images=1000,
        points=4,
    ),
    # seconds: does everything fit together? its numbers mean nothing
    "smoke": Preset(
        config={"steps": 1, "hidden": 4, "epochs": 0.5, "batch_size": 16, "init_batches": 2},
        max_train_images=128,
        max_out_images=64,
        points=2,
    ),
}


def pair(name: str, *out: str) -> Space:
    """A whole dataset as normal against others, pure groups, the default score by every split and reference."""
    return Space(
        workload="klods",
        data=Data(name=name, protocol="in_out", side=32, out=out),
        fixed=PUBLISHED_SCHEDULES.get(name, {}),
        axes={
            "split": ("patches_2", "patches_4"),
            "group_score": ("klods_prior", "klods_train"),
            "level": ("z1", "z2", "z3", "sum"),
        },
        search=Search(kind="grid"),
        scheduler=Scheduler(kind="fifo"),
        presets=KLODS_PRESETS,
    )
