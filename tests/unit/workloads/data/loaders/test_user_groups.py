"""Several photographs of one part stay on one side of every split, by their names or by a table."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from orchestrator.data.folder_check import check_folder
from orchestrator.data.shared import SplitsInMemory
from orchestrator.data.split_store import SplitStore
from orchestrator.record.paths import RunPaths
from tests.helpers.files import left_out, write_image, write_mask
from workloads.data.in_out import in_out
from workloads.data.loaders.user_folder import read_folder
from workloads.data.protocols import one_class
from workloads.data.reading.account import FolderRules, Reason
from workloads.data.reading.survey import survey
from workloads.data.splits import Splits
from workloads.errors import UserError

BY_PART = FolderRules(group=r"(part\d+)_")


def write_parts(folder: Path, parts: range, shots: int = 3) -> None:
    for part in parts:
        for shot in range(shots):
            write_image(folder / f"part{part}_{shot}.png", size=(8, 8))


def parts_of(ids: tuple[str, ...]) -> set[str]:
    return {name.rpartition("/")[2].partition("_")[0] for name in ids}


def sides(splits: Splits) -> list[tuple[str, ...]]:
    calibration = splits.calibration.ids if splits.calibration else ()
    return [splits.train.ids, splits.val.ids, splits.test.ids, calibration]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("pooled", [False, True])
def test_all_photographs_of_a_part_are_on_one_side(tmp_path: Path, pooled: bool, seed: int) -> None:
    write_parts(tmp_path / "good", range(12))
    write_parts(tmp_path / "bad", range(8, 16), shots=2)
    write_image(tmp_path / "good" / "alone.png", size=(8, 8))
    dataset = read_folder(tmp_path, side=8, seed=seed, rules=BY_PART)
    good = int(np.bincount(dataset.train.labels)[1])
    assert 18 <= good <= 22
    fractions = {"val_fraction": 0.2, "calibration_fraction": 0.2}
    if pooled:
        splits = in_out(dataset, side=8, seed=seed, **fractions)
    else:
        splits = one_class(dataset, side=8, seed=seed, classes=("good",), **fractions)
    parts = [parts_of(ids) for ids in sides(splits)]
    assert all(parts)
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert sum(map(len, sides(splits))) == len(dataset.test) + (len(dataset.train) if pooled else good)


@pytest.mark.parametrize("seed", range(3))
def test_large_groups_leave_images_for_calibration(tmp_path: Path, seed: int) -> None:
    """Where the group that is held out has more images than both fractions, calibration takes the next one."""
    write_parts(tmp_path / "train" / "good", range(4), shots=10)
    write_parts(tmp_path / "test" / "good", range(4, 5))
    write_parts(tmp_path / "test" / "bad", range(5, 6))
    dataset = read_folder(tmp_path, side=8, rules=BY_PART)
    splits = one_class(dataset, side=8, seed=seed, val_fraction=0.1, calibration_fraction=0.1)
    assert splits.calibration is not None
    assert [len(part) for part in (splits.val, splits.calibration, splits.train)] == [10, 10, 20]
    one = replace(dataset, groups=dict.fromkeys(dataset.groups, "same"))
    with pytest.raises(UserError, match=r"nothing is left to learn from[\s\S]*lower the fractions"):
        one_class(one, side=8, calibration_fraction=0.1)


def test_a_fraction_that_is_no_image_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_parts(tmp_path / "good", range(2), shots=3)
    splits = one_class(read_folder(tmp_path, side=8), side=8, calibration_fraction=0.2)
    assert splits.calibration is None
    assert "calibration_fraction 0.2 of 3 training images is none: no threshold" in caplog.text


def test_groups_go_with_the_splits_to_the_workers(tmp_path: Path) -> None:
    write_parts(tmp_path / "photos" / "good", range(6))
    write_image(tmp_path / "photos" / "good" / "alone.png", size=(8, 8))
    splits = one_class(read_folder(tmp_path / "photos", side=8, rules=BY_PART), side=8)
    store = SplitStore(RunPaths(str(tmp_path), "run"))
    store.keep(splits)
    for held in (splits, store.read(splits.digest)):
        view = SplitsInMemory(held).view("good", torch.device("cpu"))
        expected = [name if "alone" in name else parts_of((name,)).pop() for name in view.ids["train"]]
        assert list(view.train_groups) == expected
    ungrouped = replace(splits, targets=replace(splits.targets, groups={}))
    assert ungrouped.digest != splits.digest


def test_without_groups_the_halves_are_as_they_were(tmp_path: Path) -> None:
    write_parts(tmp_path / "good", range(4))
    assert read_folder(tmp_path, side=8).train.ids == read_folder(tmp_path, side=8, rules=FolderRules()).train.ids
    torn = parts_of(read_folder(tmp_path, side=8).train.ids) & parts_of(read_folder(tmp_path, side=8).test.ids)
    assert torn


def test_what_cannot_be_kept_together_is_refused(tmp_path: Path) -> None:
    write_parts(tmp_path / "train" / "good", range(3))
    write_parts(tmp_path / "test" / "good", range(2, 5))
    with pytest.raises(
        UserError, match=r"1 groups .* both sides .*: part2 \(train/good/part2_0\.png, test/good/part2_0"
    ):
        read_folder(tmp_path, side=8, rules=BY_PART)
    with pytest.raises(UserError, match=r"group: '\(piece.*' is in no file's name[\s\S]*part0_0\.png"):
        read_folder(tmp_path, side=8, rules=FolderRules(group=r"(piece\d+)"))
    write_parts(tmp_path / "test" / "bad", range(5, 7))
    dataset = read_folder(tmp_path, side=8, rules=FolderRules(ignore=("part2_*",), group="part[01]"))
    assert set(dataset.groups.values()) == {"part0", "part1"}
    one = read_folder(tmp_path, side=8, rules=FolderRules(ignore=("part[12]_*",), group=r"(part\d)"))
    with pytest.raises(UserError, match=r"nothing is left to learn from: the 3 training images are of 1 group"):
        one_class(one, side=8)


def test_classes_of_a_single_group_have_nothing_to_test_with(tmp_path: Path) -> None:
    write_parts(tmp_path / "good", range(1), shots=4)
    write_parts(tmp_path / "bad", range(1, 2), shots=2)
    with pytest.raises(UserError, match="nothing is left to test with: the 6 images are of 2 group"):
        read_folder(tmp_path, side=8, rules=BY_PART)


def test_what_a_pattern_matches_without_its_groups_is_an_image_alone(tmp_path: Path) -> None:
    for name in ("part1_a.png", "part1_b.png", "part2_a.png", "blank.png", "sheet.png"):
        write_image(tmp_path / "good" / name, size=(8, 8))
    dataset = read_folder(tmp_path, side=8, rules=FolderRules(group=r"^(?:(part\d+)_(x)?)?"))
    assert dataset.groups == {"good/part1_a.png": "part1/", "good/part1_b.png": "part1/", "good/part2_a.png": "part2/"}
    with pytest.raises(UserError, match="is in no file's name"):
        read_folder(tmp_path, side=8, rules=FolderRules(group=r"(piece\d+)?"))


# --- a table


def write_table(root: Path, *rows: str, head: str = "path,label,split,group,mask") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "images.csv").write_text("\n".join([head, *rows]), encoding="utf-8-sig")
    return root


def tabled(root: Path) -> Path:
    """Images of any names in one folder; the table says the rest."""
    for number in range(9):
        write_image(root / "images" / f"{number}.png", size=(10, 10))
    write_mask(root / "marks" / "8.png", np.ones((10, 10), bool))
    rows = [f"images/{number}.png,gut,{'train' if number < 4 else 'test'},p{number // 2}," for number in range(6)]
    return write_table(root, *rows, "images/6.png,gut,validation,,", "images/8.png,riss,test,p4,marks/8.png")


def test_a_table_says_class_split_group_and_mask(tmp_path: Path) -> None:
    dataset = read_folder(tabled(tmp_path), side=10, rules=FolderRules(names={"gut": "good"}))
    assert dataset.classes == ("good", "riss")
    assert dataset.train.ids == tuple(f"images/{number}.png" for number in range(4))
    assert dataset.val is not None
    assert dataset.val.ids == ("images/6.png",)
    assert dataset.test.ids[-1] == "images/8.png"
    assert dataset.groups["images/3.png"] == "p1"
    assert dataset.masks is not None
    assert dataset.masks.any(axis=(1, 2)).tolist() == [name == "images/8.png" for name in dataset.test.ids]
    assert left_out(dataset) == {"not listed in images.csv": ("images/7.png",)}


def test_a_table_without_splits_is_halved_by_its_groups(tmp_path: Path) -> None:
    write_parts(tmp_path, range(6))
    rows = [f"part{part}_{shot}.png;good;{part}" for part in range(6) for shot in range(3)]
    dataset = read_folder(write_table(tmp_path, *rows, head="path;label;group"), side=8)
    assert (len(set(dataset.train.ids)), len(set(dataset.test.ids))) == (9, 9)
    assert not parts_of(dataset.train.ids) & parts_of(dataset.test.ids)


def marked_table(root: Path, without: int | None = None) -> Path:
    """Six good images and six bad ones without a split; row n of a bad one's mask is marked, but `without` has none."""
    rows = []
    for number in range(12):
        write_image(root / f"{number}.png", size=(10, 10))
        marked = number >= 6 and number != without
        if marked:
            write_mask(
                root / "marks" / f"{number}.png", np.broadcast_to(np.arange(10)[:, None] == number - 6, (10, 10))
            )
        rows.append(f"{number}.png,{'bad' if number >= 6 else 'good'},{f'marks/{number}.png' if marked else ''}")
    return write_table(root, *rows, head="path,label,mask")


def test_masks_of_a_table_without_splits_are_those_of_the_half_that_tests(tmp_path: Path) -> None:
    dataset = read_folder(marked_table(tmp_path / "photos"), side=10)
    assert dataset.masks is not None
    assert dataset.masks.shape == (6, 10, 10)
    for name, mask in zip(dataset.test.ids, dataset.masks, strict=True):
        number = int(name.removesuffix(".png"))
        assert np.flatnonzero(mask.any(axis=1)).tolist() == ([number - 6] if number >= 6 else [])
    without = next(int(name.removesuffix(".png")) for name in dataset.test.ids if int(name.removesuffix(".png")) >= 6)
    write_mask(tmp_path / "ground_truth" / "photos" / f"{without}.png", np.ones((10, 10), bool))  # of another folder
    with pytest.raises(UserError, match=f"1 test images have no mask: {without}.png"):
        read_folder(marked_table(tmp_path / "other" / "photos", without=without), side=10)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["images/0.png,good,train,,", "images/1.png,good,train,,"], r"no row .* `test`[\s\S]*leave"),
        (["images/0.png,good,test,,", "images/1.png,good,test,,"], "no row .* `train`"),
        (["images/0.png,good,val,,", "images/1.png,good,val,,"], "no row .* `train`[\\s\\S]*no row .* `test`"),
        ([], "no row .* image"),
    ],
)
def test_a_table_without_a_side_of_the_split_is_refused_by_check_and_launch(
    tmp_path: Path, rows: list[str], message: str
) -> None:
    root = write_table(tabled(tmp_path), *rows)
    with pytest.raises(UserError, match=message) as caught:
        read_folder(root, side=8)
    assert check_folder(root, FolderRules(), 8).problem == str(caught.value)


def test_rows_behind_a_link_to_a_folder_are_refused_by_name(tmp_path: Path) -> None:
    root = tabled(tmp_path)
    (root / "linked").symlink_to(root / "images")
    rows = [f"{folder}/{number}.png,good" for number in range(3) for folder in ("images", "linked")]
    listed = survey(write_table(root, *rows, head="path,label"), FolderRules())
    assert len(listed.problems) == 1
    assert (
        "3 rows name files behind links to folders, or in another spelling: linked/0.png; linked/1.png; linked/2.png"
        in str(listed.problems[0])
    )
    with pytest.raises(UserError, match="behind links"):
        read_folder(root, side=8)
    rows = [f"images/{number}.png,good" for number in range(4)]
    ignoring = survey(write_table(root, *rows, head="path,label"), FolderRules(ignore=("3.png",)))
    assert not ignoring.problems
    assert (Reason.IGNORED, "images/3.png") in ignoring.unused


def test_a_table_of_good_images_alone_without_a_split_is_enough(tmp_path: Path) -> None:
    rows = [f"images/{number}.png,good" for number in range(6)]
    dataset = read_folder(write_table(tabled(tmp_path), *rows, head="path,label"), side=8)
    assert (len(dataset.train), len(dataset.test)) == (3, 3)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["images/0.png,good,train,,", "images/0.png,bad,test,,"], "an earlier row has: line 3"),
        (["images/0.png,good,train,,", "images/1.png,good,,,"], "without a split beside rows with one: line 3"),
        (["images/0.png,good,learn,,"], "unknown split: line 2"),
        (["images/0.png,good,train,,", "images/99.png,good,train,,"], "files that are not there: line 3"),
        (["../secret.png,good,train,,"], "lead out of the folder: line 2"),
        (["/etc/secret.png,good,train,,"], "lead out of the folder: line 2"),
        (["images/0.png,a b,train,,"], "class name 'a b'"),
        (["images/0.png,good,train,a,", "images/1.png,good,test,a,"], "both sides of a split: a"),
    ],
)
def test_mistakes_in_a_table_are_named(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_folder(write_table(tabled(tmp_path), *rows), side=8)


def test_a_table_of_other_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no column label"):
        read_folder(write_table(tabled(tmp_path), head="path,class"), side=8)
    with pytest.raises(UserError, match=r"a column 'grp'[\s\S]*'group'"):
        read_folder(write_table(tabled(tmp_path), head="path,label,grp"), side=8)
