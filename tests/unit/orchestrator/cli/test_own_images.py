"""From a folder of images to a report without a space: `launch --images`, its template, and its plan."""

import json

import numpy as np
import pytest
from PIL import Image

from orchestrator.record.runs import open_run
from tests.helpers.commands import orchestrate
from tune_spaces.schema.load import chosen_space, load
from workloads.errors import UserError

QUICK = ("--preset", "smoke", "--set", "features=random", "--executor", "local", "--plain")


def photographs(folder, count, seed, *, spot=False, side=48):
    """Noisy grey squares, some with a bright spot."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = np.clip(random.normal(120, 12, (side, side, 3)), 0, 255).astype(np.uint8)
        if spot:
            pixels[20:32, 10:22] = 230
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "my photos"
    photographs(root / "train" / "good", 16, 0)
    photographs(root / "test" / "good", 6, 1)
    photographs(root / "test" / "spot", 6, 2, spot=True)
    return root


def launch(tmp_path, photos, *more):
    return orchestrate(
        "launch", "--images", str(photos), *QUICK, *more, "--storage", str(tmp_path / "runs"), cwd=tmp_path
    )


def test_a_folder_leads_to_a_report_and_a_space_to_edit(tmp_path, photos):
    options = ("--class", "good", "--set", "smoothing=2.0", "--seed", "3")
    done = launch(tmp_path, photos, "--name", "mine", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "runs" / "mine"
    report = json.loads((run / "report" / "report.json").read_text())
    (row,) = [row for row in report["table"]["rows"] if row["name"] == "PATCH_MEMORY"]
    assert row["values"]["good"] > 0.9
    kept = load(str(run / "space.py"))
    assert kept.space == open_run(str(tmp_path / "runs"), "mine")[1].space
    assert kept.space.data.classes == ("good",)
    assert kept.space.fixed | {"smoothing": 2.0, "seed": 3, "features": "random"} == kept.space.fixed
    assert kept.doc == load("own_patch_memory").doc


def test_good_images_alone_are_enough(tmp_path):
    photographs(tmp_path / "photos" / "good", 20, 0)
    done = launch(tmp_path, tmp_path / "photos", "--name", "good")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "runs" / "good" / "report" / "report.html").is_file()


def test_what_is_lacking_is_named(tmp_path, photos):
    for words, message in (
        (("launch",), "give --images FOLDER"),
        (("launch", "--images", str(photos), "--method", "patchcore"), "patch_memory"),
        (("launch", "sweep_digits", "--method", "flow"), "a space names its method"),
    ):
        done = orchestrate(*words, "--storage", str(tmp_path / "runs"), cwd=tmp_path)
        assert done.returncode == 2
        assert message in done.stdout + done.stderr
    with pytest.raises(UserError, match="did you mean 'mlsad'"):
        chosen_space(None, "mlsda", "photos")


def test_a_plan_is_of_the_folders_images(tmp_path, photos):
    done = launch(tmp_path, photos, "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "about 14 training images a class" in done.stdout  # of 16 a tenth is held out
    assert "train/good 16, test/good 6, test/spot 6" in done.stdout
