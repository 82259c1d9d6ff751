"""Which files of a folder, a tar archive or a single name are images, and the account of all the others."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from tests.helpers.files import write_image
from workloads.data.reading.account import Reason, account_of, unused_by_name
from workloads.data.reading.listing import list_images
from workloads.errors import UserError

OTHERS = {
    "._1.png": Reason.SHADOW,
    "__MACOSX/good/1.png": Reason.SHADOW,
    ".DS_Store": Reason.HIDDEN,
    ".ipynb_checkpoints/1-checkpoint.png": Reason.HIDDEN,
    "Thumbs.db": Reason.SYSTEM,
    "@eaDir/1.png": Reason.SYSTEM,
    "raw/1.PNG.bak": Reason.ENDING,
    "notes.txt": Reason.ENDING,
    "IMG_1.HEIC": Reason.FORMAT,
    "more.tar.gz": Reason.ARCHIVE,
    "old/1.png": Reason.IGNORED,
    "good/blurred/2.png": Reason.IGNORED,
}
IGNORE = ("old", "good/blurred/*")


@pytest.mark.parametrize(("name", "reason"), OTHERS.items())
def test_a_name_says_why_a_file_is_not_used(name: str, reason: Reason) -> None:
    assert unused_by_name(name, IGNORE) == reason


@pytest.mark.parametrize("name", ["1.png", "good/1.JPEG", "gold/1.png", "older/1.png", "good/1.old.tiff"])
def test_images_are_used(name: str) -> None:
    assert unused_by_name(name, IGNORE) is None


def filled(folder: Path) -> Path:
    """Two images and one file for each reason."""
    for name in ("b.png", "a/1.png", *OTHERS):
        write_image(folder / "image.png")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "image.png").rename(folder / name)
    return folder


def test_every_file_of_a_folder_is_an_image_or_in_the_account(tmp_path: Path) -> None:
    folder = filled(tmp_path / "in")
    write_image(tmp_path / "secret.png")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    os.mkfifo(folder / "pipe.png")
    listing = list_images(folder, IGNORE)
    assert [image.name for image in listing.images] == ["a/1.png", "b.png"]
    account = listing.account(unreadable=["b.png (truncated)"])
    assert (account.used, account.unused) == (1, len(OTHERS) + 3)
    counts = {item.reason: item.count for item in account.left_out}
    assert counts[Reason.LINK] == counts[Reason.IRREGULAR] == counts[Reason.BROKEN] == 1
    assert counts[Reason.ENDING] == counts[Reason.SHADOW] == counts[Reason.IGNORED] == 2
    assert str(account.left_out[-1]) == "1 cannot be read: b.png (truncated)"


def test_an_account_names_the_first_files_alone() -> None:
    (item,) = account_of(0, ((Reason.ENDING, f"{i}.txt") for i in range(2000))).left_out
    assert str(item) == "2,000 no images by their ending: 0.txt; 1.txt; 2.txt; 3.txt; 4.txt; ..."


def test_members_of_a_tar_are_taken_by_the_same_rule(tmp_path: Path) -> None:
    folder = filled(tmp_path / "in")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(folder, ".")
    listing = list_images(tmp_path / "a.tar", IGNORE)
    assert sorted(image.name for image in listing.images) == ["a.tar/a/1.png", "a.tar/b.png"]
    assert listing.account().unused == len(OTHERS)
    for image in listing.images:
        with image.open() as opened:
            assert opened.read() == (folder / image.name.removeprefix("a.tar/")).read_bytes()


@pytest.mark.parametrize("damage", ["cut", "zeros"])
def test_a_tar_that_breaks_off_is_named(tmp_path: Path, damage: str) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for i in range(3):
            write_image(tmp_path / f"{i}.png")
            tar.add(tmp_path / f"{i}.png", f"{i}.png")
    with tarfile.open(tmp_path / "a.tar") as tar:
        second = tar.getmembers()[1].offset
    raw = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(raw[:second] + (b"" if damage == "cut" else bytes(512) + raw[second + 512 :]))
    listing = list_images(tmp_path / "a.tar")
    assert len(listing.images) == 1
    assert "a.tar (it breaks off" in listing.account().left_out[0].names[0]


def test_names_of_any_bytes_are_escaped_and_opened(tmp_path: Path) -> None:
    write_image(tmp_path / "in" / "1.png")
    os.rename(tmp_path / "in" / "1.png", os.fsencode(tmp_path / "in") + b"/caf\xe9.png")
    (image,) = list_images(tmp_path / "in").images
    assert image.name == "caf\\xe9.png"
    with image.open() as opened:
        assert opened.read(4) == b"\x89PNG"


def test_a_single_file_is_an_image_whatever_its_name_begins_with(tmp_path: Path) -> None:
    write_image(tmp_path / ".1.png")
    assert [image.name for image in list_images(tmp_path / ".1.png").images] == [".1.png"]


def test_what_holds_no_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "IMG.heic").write_bytes(b"x")
    with pytest.raises(UserError, match=r"no images\n.*1 image formats that are not read.*IMG\.heic"):
        list_images(tmp_path)
    with pytest.raises(UserError, match="no image by its ending"):
        list_images(tmp_path / "IMG.heic")
    with pytest.raises(UserError, match=r"did you mean: IMG\.heic"):
        list_images(tmp_path / "IMG.png")
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("1.png"))
    for name in ("a.tar", "a.tar.gz"):
        (tmp_path / name).write_bytes(gzip.compress(plain.getvalue()))
        with pytest.raises(UserError, match="unpack"):
            list_images(tmp_path / name)
