"""Who may call a number the paper's: keys that the papers state, keys that they leave open, and changed spaces."""

from dataclasses import fields, replace

import pytest

from orchestrator.planning.options import Options, load_space
from tune_spaces.published import GRIDS, IDLE, OPEN, STATED, differences, our_choices
from workloads.keys import ROLES_OF_TRIALS, keys_of
from workloads.registry import WORKLOADS, method


@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_key_is_stated_searched_open_or_idle(workload):
    config = method(workload).Config
    places = [key for place in (STATED, GRIDS, OPEN, IDLE) for key in place.get(workload, ())]
    assert sorted(places) == sorted(keys_of(config, *ROLES_OF_TRIALS))


@pytest.mark.parametrize("workload", ["mlsad", "flow"])
def test_our_reading_of_a_paper_keeps_to_what_it_states(workload):
    config = method(workload).Config()
    assert {key for key, values in STATED[workload].items() if getattr(config, key) not in values} == set()


CHANGED = [
    ("sweep_cifar10", "detector_lr=0.001"),
    ("sweep_cifar10", "dropout=0.0"),
    ("sweep_cifar10", "lambda_entropy=0.0"),
    ("sweep_cifar10", "generator_ema=0.0"),
    ("sweep_cifar10", "bank_size=1000"),
    ("flow_cifar10", "coupling=additive"),
    ("flow_cifar10", "outlier_weight=600.0"),
    ("flow_cifar10", "permutation=shuffle"),
    ("flow_cifar10", "from_general=false"),
    ("sweep_mnist", "detector_epochs=250.0"),
]


@pytest.mark.parametrize(("name", "change"), CHANGED)
def test_a_changed_space_is_not_the_papers_and_says_why(name, change):
    _, space, _ = load_space(name, Options(preset="paper"))
    config = space.config({})
    assert differences(space, config) == []
    _, changed, _ = load_space(name, Options(preset="paper", set=[change]))
    (line,) = differences(changed, changed.config({}))
    assert line.startswith(f"{change.partition('=')[0]} is ")


CHANGED_DATA = [
    ("sweep_cifar10", {"val_fraction": 0.5}, {}, "val_fraction is 0.5 (our reading of the paper is 0.1)"),
    ("flow_cifar10", {"val_fraction": 0.2}, {}, "val_fraction is 0.2"),
    ("flow_cifar10", {}, {"max_images": 100}, "max_images is 100 (our reading of the paper is all)"),
    ("flow_cifar10", {}, {"val_fraction": 0.5}, "val_fraction is 0.5 (our reading of the paper is 0.2)"),
    ("flow_cifar10", {}, {"seed": 7}, "seed is 7"),
]


@pytest.mark.parametrize(("name", "data", "auxiliary", "why"), CHANGED_DATA)
def test_data_options_that_are_not_the_papers_are_named(name, data, auxiliary, why):
    _, space, _ = load_space(name, Options(preset="paper"))
    assert differences(space, space.config({})) == []
    sources = tuple(source.model_copy(update=auxiliary) for source in space.data.auxiliary)
    changed = space.model_copy(update={"data": space.data.model_copy(update=data | {"auxiliary": sources})})
    (line,) = differences(changed, changed.config({}))
    assert why in line
    assert ("auxiliary images of tiny_images: " in line) == bool(auxiliary)


def test_data_that_is_not_the_papers_is_named():
    def lines(name, **options):
        _, space, _ = load_space(name, Options(**({"preset": "paper"} | options)))
        return differences(space, space.config(space.points()[0]))

    assert lines("klods_cifar10") == ["klods: the schedule of its paper is not known"]
    assert "the paper does not train on digits" in lines("sweep_digits")
    assert "the paper's protocol is in_out, not one_class" in lines("flow_cifar10_one_class")
    assert any("at most 2000 training images" in line for line in lines("sweep_cifar10", preset="reduced"))
    assert any("auxiliary images of photo_tiles" in line for line in lines("flow_cifar10", auxiliary=["photo_tiles"]))
    assert lines("ood_cifar10", classes=["dog"]) == []
    (cut,) = lines("flow_brats")
    assert "a new random cut each time" in cut


def test_a_point_of_the_grid_is_the_papers_and_another_batch_is_not():
    _, space, _ = load_space("sweep_cifar10", Options(preset="paper"))
    config = space.config({"batch_size": 8, "noise": 0.1, "blocks": 2})
    assert differences(space, config) == []
    assert differences(space, replace(config, batch_size=16)) == ["batch_size is 16 (the paper: 8)"]


def test_some_twenty_choices_of_mlsad_are_ours():
    config = method("mlsad").Config()
    choices = our_choices("mlsad", config)
    assert len(choices) >= 20
    text = "\n".join(choices)
    for words in ("betas", "trunks", "`bank_size` = 20000", "`generator_ema`", "`weight_decay`", "`noise`", "level 1"):
        assert words in text
    assert not {f.name for f in fields(config)} & {line.split("`")[1] for line in choices if "`fooling" in line}
