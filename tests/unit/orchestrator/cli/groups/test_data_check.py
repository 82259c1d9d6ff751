"""`data check`: what a launch would use of a user's folder, as words and as JSON."""

import json

import numpy as np
from typer.testing import CliRunner

from orchestrator.cli import app
from tests.helpers.files import write_classes, write_image, write_mask


def photos(root):
    """train/, test/ and validation/ with a copy, a mask, a broken image and a hidden folder."""
    write_classes(root / "train", classes=("good",), count=6)
    write_classes(root / "test", classes=("good", "合格", "scratch"), count=3)
    write_classes(root / "validation", classes=("good",), count=2)
    (root / "train" / "good" / "005.png").write_bytes(b"no image")
    (root / "test" / "good" / "002.png").write_bytes((root / "train" / "good" / "000.png").read_bytes())
    write_image(root / "test" / "scratch" / ".cache" / "a.png")
    for number in range(3):
        write_mask(root / "ground_truth" / "scratch" / f"{number:03d}_mask.png", np.ones((10, 12), bool))
    return root


def test_a_folder_in_words(tmp_path):
    result = CliRunner().invoke(app, ["data", "check", str(photos(tmp_path)), "--side", "16", "--name", "合格=good"])
    assert result.exit_code == 0, result.output
    assert "15 images" in result.output.splitlines()[0]
    rows = [line.split() for line in result.output.splitlines()]
    assert ["class", "train", "val", "test"] in rows
    assert ["good", "5", "2", "5"] in rows
    assert ["scratch", "0", "0", "3"] in rows
    assert "sizes      12x10 (16)" in result.output
    assert "masks      3 test images have marked pixels" in result.output
    assert "left out   3 files" in result.output
    assert "test/good/002.png (as train/good/000.png)" in result.output


def test_a_folder_for_programs_with_why_a_launch_would_refuse_it(tmp_path):
    command = ["data", "check", str(photos(tmp_path)), "--side", "16", "--json"]
    result = CliRunner().invoke(app, command)
    facts = json.loads(result.stdout)
    assert result.exit_code == 2
    assert "合格" in facts["problem"]
    result = CliRunner().invoke(app, [*command, "--ignore", "合格"])
    facts = json.loads(result.stdout)
    assert (result.exit_code, facts["problem"]) == (0, "")
    assert facts["classes"] == {"good": {"train": 5, "val": 2, "test": 2}, "scratch": {"test": 3}}
    assert facts["account"]["folders"]["train/good"] == [5, 1]
    assert (facts["modes"], facts["masked"]) == ({"RGB": 13}, 3)
    assert sum(item["count"] for item in facts["account"]["left_out"]) == 6
