"""Schedules and widths that the MLSAD spaces share. A preset never touches the method."""

from tune_spaces.schema import Preset, PresetName

MLSAD_PRESETS: dict[PresetName, Preset] = {
    # appendix C: 300 epochs for the generators, 250 for the detectors, full widths
    "paper": Preset(),
    # two CPU cores or one small GPU: a quarter of the widths, larger learning rates for a far shorter schedule.
    # No test label chose them: the detectors' rate is calibrate_digits' winner, the generators' rates those of seven on
    # digit 3 whose patches a fresh classifier told least (analysis `generators`); the steps are what fits the time.
    "reduced": Preset(
        config={
            "width": 0.25,
            "generator_epochs": 4.0,
            "detector_epochs": 4.0,
            "bank_size": 2048,
            "quality_steps": 100,
            "generator_lr": 2e-3,
            "discriminator_lr": 2e-3,
            "statistics_lr": 2e-3,
            "detector_lr": 3e-3,
            "fooling_steps": 200,
        },
        max_train_images=2000,
        points=4,
        first_rung=0.34,
    ),
    # seconds: does everything fit together? its numbers mean nothing
    "smoke": Preset(
        config={
            "width": 0.0625,
            "generator_epochs": 0.5,
            "detector_epochs": 0.5,
            "bank_size": 64,
            "quality_steps": 2,
            "fooling_steps": 3,
        },
        max_train_images=64,
        points=2,
        first_rung=0.5,
    ),
}

MNIST_PRESETS: dict[PresetName, Preset] = {
    **MLSAD_PRESETS,
    "paper": Preset(config={"detector_epochs": 100.0}),  # appendix C
}
