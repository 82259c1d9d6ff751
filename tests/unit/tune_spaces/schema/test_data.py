"""The keys of `Data` that say how images are divided and what stands beside them: all mistakes at once."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tune_spaces.schema.data import Auxiliary, Data
from tune_spaces.schema.load import load
from tune_spaces.schema.models import Preset, Space, resolve
from tune_spaces.schema.validation import from_validation
from workloads.errors import UserError

SPACE = """
from tune_spaces.schema import *
SPACE = Space({settings})
"""


def problems(tmp_path: Path, settings: str) -> dict[str, str]:
    (tmp_path / "mine.py").write_text(SPACE.format(settings=settings))
    with pytest.raises(UserError) as caught:
        load(str(tmp_path / "mine.py"))
    return {problem.key: problem.message for problem in caught.value.problems}


def messages(**settings: object) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        Data(**settings)
    return {problem.key: problem.message for problem in from_validation(caught.value, Data)}


def test_in_out_needs_an_out_set_and_no_classes() -> None:
    actual = messages(name="cifar10", protocol="in_out", classes=("cat",))
    assert set(actual) == {"out", "classes"}
    assert "needs an out set" in actual["out"]
    assert Data(name="cifar10", protocol="in_out", out=("svhn", "lsun", "noise")).out[1] == "lsun"


def test_datasets_without_classes_say_what_they_are_good_for() -> None:
    assert "can only be an out set" in messages(name="lsun")["name"]
    assert "use 'in_out'" in messages(name="celeba")["protocol"]
    assert Data(name="celeba", protocol="in_out", out=("svhn",)).protocol == "in_out"
    assert "in_out" in messages(name="cifar10", protocol="inout", out=("svhn",))["protocol"]


def test_a_general_set_is_neither_the_dataset_nor_an_out_set() -> None:
    sources = (
        Auxiliary(name="cifar10"),
        Auxiliary(name="svhn"),
        Auxiliary(name="photo_tiles"),
        Auxiliary(name="photo_tiles"),
    )
    actual = messages(name="cifar10", out=("svhn",), auxiliary=sources)
    assert set(actual) == {"auxiliary", "auxiliary.0.name", "auxiliary.1.name"}
    assert Data(name="folder", path="x", auxiliary=(Auxiliary(name="folder", path="y"),)).auxiliary[0].path == "y"


def test_every_mistake_of_every_source_is_reported_at_once(tmp_path: Path) -> None:
    actual = problems(
        tmp_path,
        "data=Data(name='cifar10', protocol='in_out', out=('svnh',), auxiliary=("
        "Auxiliary(name='photo_tile'), Auxiliary(name='photo_tiles', path='x'), Auxiliary(name='mnist', path='x'),"
        "Auxiliary(name='lsun'), Auxiliary(name='digits', max_images=1, frction=0.1))), fixed={'nois': 3}",
    )
    assert "did you mean 'photo_tiles'?" in actual["data.auxiliary.0.name"]
    assert "takes no path" in actual["data.auxiliary.1.path"]
    assert "takes no path" in actual["data.auxiliary.2.path"]
    assert "no training images" in actual["data.auxiliary.3.name"]
    assert "greater than or equal to 4" in actual["data.auxiliary.4.max_images"]
    assert "no such key" in actual["data.auxiliary.4.frction"]
    assert "fixed.nois" in actual


def test_a_preset_scales_every_source() -> None:
    general = (Auxiliary(name="photo_tiles"), Auxiliary(name="cifar100", max_images=9, val_fraction=0.5))
    space = Space(
        data=Data(name="cifar10", auxiliary=general),
        presets={"smoke": Preset(max_auxiliary_images=40)},
        preset="smoke",
    )
    actual = resolve(space).data.auxiliary
    assert [source.max_images for source in actual] == [40, 40]
    assert actual[1].val_fraction == 0.5


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Space(data=Data(name='digits', general=()))", "data.general: no such key; it is called 'auxiliary'"),
        (
            "Space(data=Data(name='digits'), resources=Resources(split='units'))",
            "resources.split: no such key; it is called 'share'",
        ),
    ],
)
def test_a_key_of_earlier_versions_is_answered_with_what_it_is_called_today(tmp_path, text, answer):
    (tmp_path / "old.py").write_text(f"from tune_spaces.schema import Data, Resources, Space\nSPACE = {text}\n")
    with pytest.raises(UserError) as refused:
        load(str(tmp_path / "old.py"))
    assert answer in str(refused.value)
