"""Presets of the patch memory. Nothing is trained, so that the paper's size and the reduced one are alike."""

from tune_spaces.schema import Preset, PresetName

PATCH_SMOKE = {"memory": 200, "candidates": 400}
PATCH_PRESETS: dict[PresetName, Preset] = {
    "paper": Preset(),
    "reduced": Preset(),
    "smoke": Preset(config=PATCH_SMOKE, max_train_images=64, points=1),
}
