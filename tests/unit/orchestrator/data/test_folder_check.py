"""What `data check` says of a folder is what a launch makes of it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.data.folder_check import check_folder
from orchestrator.data.loading import load_splits
from tests.helpers.files import pixels, write_mask
from tune_spaces.schema import Data
from workloads.data.reading import amount
from workloads.data.reading.account import DEFAULT_RULES
from workloads.errors import UserError

SIDE = 40


def long_images(root: Path) -> Path:
    """Images of 40 x 120 whose middle is the same, and masks that mark their left end."""
    middle = pixels(SIDE, SIDE, 3)
    for place, count in {"train/good": 6, "test/good": 3, "test/dent": 3}.items():
        (root / place).mkdir(parents=True)
        for number in range(count):
            whole = pixels(SIDE, 3 * SIDE, 3)
            whole[:, SIDE : 2 * SIDE] = middle
            Image.fromarray(whole).save(root / place / f"{number}.png")
    for number in range(3):
        write_mask(
            root / "ground_truth" / "dent" / f"{number}.png", np.broadcast_to(np.arange(3 * SIDE) < 9, (SIDE, 3 * SIDE))
        )
    return root


def test_a_check_and_a_launch_agree_on_images_that_differ_beside_their_middle(tmp_path: Path) -> None:
    root = long_images(tmp_path)
    checked = check_folder(root, DEFAULT_RULES, SIDE)
    splits = load_splits(Data(name="folder", path=str(root), side=SIDE), tmp_path)
    assert (checked.account, checked.remarks, checked.problem) == (splits.account, splits.notes, "")
    assert checked.account.unused == 0
    assert checked.classes == {"dent": {"test": 3}, "good": {"train": 6, "test": 3}}
    assert checked.masked == 3


def test_a_check_refuses_what_a_launch_has_no_memory_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = long_images(tmp_path)
    of_one_window = amount.COPIES * 12 * 3 * SIDE * SIDE
    monkeypatch.setattr(amount, "free_memory", lambda: 2 * of_one_window)
    with pytest.raises(UserError, match="about 3 windows each") as caught:
        load_splits(Data(name="folder", path=str(root), side=SIDE), tmp_path)
    assert check_folder(root, DEFAULT_RULES, SIDE).problem == str(caught.value)
