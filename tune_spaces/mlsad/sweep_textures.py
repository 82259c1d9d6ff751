"""MLSAD on the five textures of MVTec AD, with maps of where the defect is: Dai et al., Fig. 4.

Question:  does the detector point at defects it has never seen, and how well do its maps fit their masks?
Expect:    the paper shows pictures only. Pixel AUROC is ours: above .5 is the least, the best published methods of
           other kinds are above .95.
Takes:     images of 256 x 256 need a GPU: generators make whole images, detectors train on crops of 64.
           `--dry-run` prints the estimate for your machine; `--class carpet` restricts it.
Data:      --data-dir with mvtec/<texture>/{train,test,ground_truth}, as published (licence CC BY-NC-SA 4.0).
Command:   python -m orchestrator launch sweep_textures

Side of images and of crops, the small batch of the generators and the three levels of the maps are guesses: the text
that could be had has no numbers. The generators are deeper by themselves, down to 4 x 4 from any side.

Random coordinates come from the range that windows' centres reach, as published. From all of [-1, 1]
(`position=uniform`) whatever lies beyond (S-k)/(S-1) is random for certain, and next to it, along the image's borders,
maps of high levels are bright whatever is there (docs/mlsad.md, "Maps of defects").
"""

from tune_spaces.schema import Data, Preset
from tune_spaces.shared.mlsad_spaces import mlsad_space
from tune_spaces.shared.presets import SHORTER_PRESETS

SPACE = mlsad_space(
    Data(name="mvtec_textures", side=256),
    {
        **SHORTER_PRESETS,  # appendix C gives textures MNIST's schedule
        "reduced": Preset(config=SHORTER_PRESETS["reduced"].config | {"bank_size": 256}),
        "smoke": Preset(config=SHORTER_PRESETS["smoke"].config, max_train_images=16, classes=("carpet",)),
    },
    fixed={"crop": 64, "generator_batch_size": 4, "map_levels": (4, 8, 16)},
    analyses=("maps",),
)
