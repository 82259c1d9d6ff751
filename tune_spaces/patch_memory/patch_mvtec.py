"""PatchCore's question on all fifteen categories of MVTec AD: neighbours of patch features, beside a Gaussian.

Question:  how near to PatchCore's published rows are this implementation's neighbours, and a Gaussian of all patches?
Expect:    not measured here: neither the images nor the weights could be had where this was written. Published with
           WideResNet50: image AUROC .992, pixel AUROC .981, per-region overlap .944 (the first is shown beside).
           Whitened, standardised distances, a memory of fixed size and no cropping are ours: expect a difference.
Takes:     no training: each category's images pass through the network twice or so. See the plan; a GPU helps.
Data:      --data-dir with mvtec/<category>/{train,test,ground_truth}, as published (licence CC BY-NC-SA 4.0).
           The weights of wide_resnet50_2 are downloaded by torchvision, or lie in DATA_DIR/weights.
Command:   python -m orchestrator launch patch_mvtec
"""

from tune_spaces.schema import Data, Preset, Scheduler, Search, Space
from tune_spaces.shared.patch_presets import PATCH_SMOKE

SPACE = Space(
    workload="patch_memory",
    data=Data(name="mvtec", side=256),
    fixed={"features": "wide_resnet50_2"},
    axes={"model": ("neighbours", "gaussian")},
    search=Search(kind="grid"),
    scheduler=Scheduler(kind="fifo"),
    presets={
        "paper": Preset(config={"memory": 10_000, "candidates": 100_000}),
        "reduced": Preset(),
        "smoke": Preset(config=PATCH_SMOKE, max_train_images=8, classes=("carpet",)),
    },
)
