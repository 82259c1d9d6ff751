"""Groups of scikit-learn's real digits scored on a small flow's latents after KLODS, without any download.

Question:  does the whole thread work here, from one shared flow to groups, and which split finds other digits?
Expect:    groups of 5 other digits told apart better than single ones, by the training Gaussian more than by the prior:
           so small a flow on so few images is far from perfect. KLODS' exact estimator could not be read; this is a
           derivation. Held-out groups are few, so the choice among trials is uncertain.
           Winners are chosen by made anomalies with correlated neighbours: that favours patches by construction.
Takes:     see the plan; the flows are shared by all trials.
Command:   python -m orchestrator launch klods_digits
"""

from tune_spaces.schema import Data, Preset, Scheduler, Search, Space
from tune_spaces.shared.klods_presets import KLODS_PRESETS

SPACE = Space(
    workload="klods",
    data=Data(name="digits", side=16, val_fraction=0.3, out=("noise",)),
    fixed={"flip": False, "group_sizes": (1, 5)},
    axes={
        "split": ("patches_2", "groups_2"),
        "group_score": ("klods_prior", "klods_train", "god_2ks", "typicality"),
    },
    search=Search(kind="grid"),
    scheduler=Scheduler(kind="fifo"),
    presets={
        "paper": KLODS_PRESETS["paper"],
        "reduced": Preset(
            config=KLODS_PRESETS["reduced"].config
            | {"steps": 4, "hidden": 32, "epochs": 20.0, "batch_size": 16, "warmup_steps": 20, "init_batches": 4},
        ),
        "smoke": KLODS_PRESETS["smoke"].model_copy(update={"classes": ("3", "8")}),
    },
    preset="reduced",
)
