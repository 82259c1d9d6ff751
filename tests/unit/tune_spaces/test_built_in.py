"""The spaces that come with the project: presets scale and never touch the method, every one loads and resolves."""

import itertools
from dataclasses import fields
from pathlib import Path

import pytest

from orchestrator.planning.options import Options, load_space
from orchestrator.planning.request import schedule_name
from tune_spaces.schema.load import SPACES, doc_of, load, source_of
from tune_spaces.schema.models import Preset, Space, resolve
from tune_spaces.shared.klods_presets import KLODS_PRESETS
from tune_spaces.shared.mlsad_spaces import PUBLISHED_GRID
from tune_spaces.shared.patch_presets import PATCH_PRESETS
from tune_spaces.shared.presets import FLOW_PRESETS, MLSAD_PRESETS
from workloads.klods.config import KlodsConfig
from workloads.klods.method import Klods
from workloads.mlsad.config import MLSADConfig
from workloads.patch_memory.config import PatchMemoryConfig
from workloads.units import Unit

ROOT = Path(__file__).parents[3]
METHOD_KEYS = {
    "grey_as_rgb",
    *PUBLISHED_GRID,
    "levels",
    "detector_lr_decay",
    "dropout",
    "crop",
    "pooling",
    "map_levels",
    "position",
    "shuffle_pool",
    "generator_batch_size",
    "adam_betas",
    "lambda_entropy",
    "mutual_information",
    "clip_wrt",
    "minibatch_stddev",
    "generator_spectral_norm",
    "generator_batch_norm",
    "generator_ema",
    "fooling_lr",
    "fooling_pull_away",
    "seed",
}


FLOW_KEYS = {
    *("kind", "scales", "permutation", "coupling", "patch", "hierarchy", "from_general", "supervised", "score", "seed"),
    *("outlier_loss", "outlier_weight", "outlier_temperature", "complexity_codec"),
    *("weight_decay", "translate", "flip", "general_flip"),
}


GROUP_KEYS = {field.name for field in fields(KlodsConfig)} | {"group_score", "judged_size"}


PATCH_KEYS = {field.name for field in fields(PatchMemoryConfig)} - {"memory", "candidates"}


# --- presets


def test_every_key_is_either_the_methods_or_a_presets() -> None:
    keys = {field.name for field in fields(MLSADConfig)}
    assert keys >= METHOD_KEYS
    scaling = {"width", "generator_epochs", "detector_epochs", "detector_milestones", "bank_size"}
    scaling |= {"precision", "quality_steps", "fooling_steps", "generator_steps", "detector_steps"}
    # a shorter schedule needs larger steps
    rates = {"generator_lr", "discriminator_lr", "statistics_lr", "detector_lr"}
    assert keys - METHOD_KEYS == scaling | rates


@pytest.mark.parametrize("name", SPACES)
def test_presets_scale_and_never_touch_the_method(name) -> None:
    chosen = load(name).space
    of_workload = {"mlsad": (MLSAD_PRESETS, METHOD_KEYS), "flow": (FLOW_PRESETS, FLOW_KEYS)}
    of_workload |= {"klods": (KLODS_PRESETS, FLOW_KEYS | GROUP_KEYS), "patch_memory": (PATCH_PRESETS, PATCH_KEYS)}
    presets, keys = of_workload[chosen.workload]
    assert presets["paper"] == Preset()
    for preset in (*chosen.presets.values(), *presets.values()):
        assert not keys & preset.config.keys()


PUBLISHED = {
    *("sweep_cifar10", "sweep_mnist", "sweep_imagenet10", "ood_cifar10", "ablation_position_mnist", "figures_cifar10"),
    *("flow_cifar10", "flow_cifar10_outlier", "flow_cifar10_classes", "flow_cifar100", "flow_svhn", "flow_mnist"),
    *("flow_fashion_mnist", "flow_patch", "flow_dense", "sweep_flow"),
}
"""Spaces with a point that is trained as its paper says, as far as it says; of KLODS nobody knows how."""


@pytest.mark.parametrize("name", SPACES)
def test_only_published_schedules_are_called_the_papers(name) -> None:
    loaded, space, preset = load_space(name, Options(preset="paper"))
    assert schedule_name(loaded, space, preset) == ("paper" if name in PUBLISHED else "custom")


def test_runs_of_groups_share_the_flow_of_the_same_training_images() -> None:
    names = "klods_fashion_mnist", "klods_fashion_digits"
    spaces = [load_space(name, Options(preset="reduced"))[1] for name in names]
    flow = Unit("flow", "fashion_mnist", "flow")
    configs = [Klods(space.config(point)).stage_config(flow) for space in spaces for point in space.points()]
    assert len(configs) == 16 + 4
    assert all(config == configs[0] for config in configs)


# --- built-in spaces


@pytest.mark.parametrize("name", SPACES)
def test_every_built_in_space_loads_and_names_its_command(name) -> None:
    loaded = load(name)
    assert loaded.name == name
    assert f"orchestrator launch {name}" in loaded.doc
    assert loaded.doc.strip() == doc_of(source_of(name)).strip()


@pytest.mark.parametrize(("name", "preset"), list(itertools.product(SPACES, ("paper", "reduced", "smoke"))))
def test_every_built_in_space_resolves_for_each_preset(name, preset) -> None:
    declared = load(name).space
    actual = resolve(declared.model_copy(update={"preset": preset}))
    points = actual.points()
    assert 1 <= len(points) <= declared.size()
    for key, value in declared.presets[preset].config.items():
        assert key in actual.axes or getattr(actual.config(points[0]), key) == value
    # as the ledger holds it: JSON has no tuples
    assert Space.model_validate_json(actual.model_dump_json()).model_dump(mode="json") == actual.model_dump(mode="json")


@pytest.mark.parametrize("preset", ["paper", "reduced", "smoke"])
def test_flow_general_trains_no_flow_of_the_dataset_whatever_the_preset(preset) -> None:
    actual = resolve(load("flow_general").space.model_copy(update={"preset": preset}))
    assert [actual.config(p).epochs for p in actual.points()] == [0.0]


def test_every_space_file_is_listed() -> None:
    assert set(SPACES) == {p.stem for p in (ROOT / "tune_spaces").glob("*/*.py") if "\nSPACE = " in p.read_text()}
