"""What splits say of themselves that a reader of results must know."""

from dataclasses import replace

import numpy as np

from workloads.data.images import AuxiliaryImages, AuxiliarySet, LabelledImages
from workloads.data.splits import Splits, Targets


def test_duplicates_and_unchecked_sets_are_remarks():
    images = LabelledImages(np.zeros((2, 1, 4, 4), np.uint8), np.zeros(2, np.int64), ("a", "b"))
    plain = Splits(images, images, images, Targets(("x",), ("x",)))
    assert plain.remarks == ()
    assert replace(plain, auxiliary=AuxiliaryImages(images, images, 0)).remarks == ()
    (line,) = replace(plain, auxiliary=AuxiliaryImages(images, images, 7)).remarks
    assert line.startswith("7 auxiliary images ")
    checked = AuxiliarySet("prepared", 100, "digest")
    assert replace(plain, streamed=checked).remarks == ()
    (line,) = replace(plain, streamed=replace(checked, unchecked=("cifar10", "svhn"))).remarks
    assert "was not held against cifar10, svhn: it may hold images that are tested" in line


def test_calibration_images_change_the_digest_only_where_there_are_any():
    images = LabelledImages(np.zeros((2, 1, 4, 4), np.uint8), np.zeros(2, np.int64), ("a", "b"))
    plain = Splits(images, images, images, Targets(("x",), ("x",)))
    assert plain.digest == "e7432f8013f8c9ac13ee5fcd67dc9c62d793ea931e7985908b14462641ca29bf"
    assert replace(plain, calibration=images).digest != plain.digest
    assert "calibration" not in plain.by_name()
    assert replace(plain, calibration=images).by_name()["calibration"] is images
