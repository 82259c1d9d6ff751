"""A space written as a file: what is loaded from it equals what was written."""

import math

import pytest

from orchestrator.planning.options import Options, apply_options
from tune_spaces.schema import Auxiliary, Data, Resources, Scheduler, Space
from tune_spaces.schema.load import SPACES, load
from tune_spaces.schema.models import resolve
from tune_spaces.schema.written import code, file_of


def read_back(tmp_path, text):
    file = tmp_path / "space.py"
    file.write_text(text, encoding="utf-8")
    return load(str(file))


@pytest.mark.parametrize("name", SPACES)
def test_every_space_is_read_back_as_it_was_written(tmp_path, name):
    loaded = load(name)
    for space in (loaded.space, resolve(loaded.space)):
        again = read_back(tmp_path, file_of(space, loaded.doc))
        assert (again.space, again.doc) == (space, loaded.doc)


def test_options_are_in_the_file_and_defaults_are_not(tmp_path):
    options = Options(
        classes=["3"], set=["lambda_structure=0.5"], seed=5, points=2, scheduler="fifo", select_by="oracle"
    )
    space = apply_options(load("sweep_digits").space, options)
    text = file_of(space, "")
    assert read_back(tmp_path, text).space == space
    assert 'classes=("3",)' in text
    assert '"seed": 5' in text
    assert "val_fraction" not in text
    assert "resources" not in text


def test_odd_texts_and_numbers_are_read_back(tmp_path):
    space = Space(
        data=Data(name="folder", path='a "b"\\c\n\'é', names={"it's": "x"}, auxiliary=(Auxiliary(name="mnist"),)),
        scheduler=Scheduler(kind="fifo"),
        resources=Resources(workers=2, gpus_per_worker=0.5),
    )
    doc = 'Says """much""" \\ and ends in "'
    again = read_back(tmp_path, file_of(space, doc))
    assert (again.space, again.doc) == (space, doc)
    assert eval(code({"a": [math.inf, -1e-9], "b": (), "c": None})) == {"a": [math.inf, -1e-9], "b": (), "c": None}
