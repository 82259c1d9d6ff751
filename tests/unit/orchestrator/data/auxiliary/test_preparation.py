"""A preparation that is handed to a cluster is asked for there as it was here."""

from dataclasses import fields
from pathlib import Path

import pytest
import typer

from orchestrator.cli import app
from orchestrator.data.auxiliary.preparation import Preparation, begun, command_words
from workloads.errors import UserError

SMALL = Preparation("folder", "photos", "sets/photos", side=32, hold_out=0.05, shard_mb=100.0)
LARGE = Preparation(
    "tiny_images", "s3://b/tiny.bin", "s3://b/tiny", side=16, hold_out=0.2, shard_mb=1.5, choose="0.1",
    exclude=[Path("a.txt"), Path("b.txt")], without=["cifar10", "folder=mine"], near=4, data_dir="there",
)  # fmt: skip


@pytest.mark.parametrize("asked", [SMALL, LARGE], ids=["small", "large"])
def test_the_command_line_of_a_job_asks_for_the_same(asked):
    command = typer.main.get_command(app).commands["data"].commands["prepare"]
    values = command.make_context("prepare", command_words(asked)[2:]).params
    here = {"source", "out", "exclude", "without", "data_dir"}  # paths, which are whole there
    assert {
        f.name for f in fields(Preparation) if f.name not in here and values[f.name] != getattr(asked, f.name)
    } == set()
    assert (values["address"], values["plain"], values["cpus"]) == ("auto", True, None)
    assert [Path(file).name for file in values["exclude"]] == [file.name for file in asked.exclude]
    assert [name.partition("=")[0] for name in values["without"]] == [n.partition("=")[0] for n in asked.without]


def test_paths_are_whole_in_the_command_line_of_a_job():
    words = command_words(LARGE)
    assert {"s3://b/tiny.bin", "s3://b/tiny", str(Path("there").absolute()), str(Path("a.txt").absolute())} <= set(
        words
    )
    assert f"folder={Path('mine').absolute()}" in words
    assert str(Path("photos").absolute()) in command_words(SMALL)
    assert "--data-dir" not in command_words(SMALL), "the default folder is the job's own"


def test_near_copies_of_nothing_are_refused():
    with pytest.raises(UserError, match="near copies of what"):
        begun(Preparation("folder", "photos", "set", side=32, hold_out=0.05, shard_mb=100.0, near=4))
