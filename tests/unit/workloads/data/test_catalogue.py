"""What is known of datasets without opening one, and the errors of those that are not there."""

import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torchvision.datasets as published

from tests.helpers.files import cut_network
from workloads.data.catalogue import CATALOGUE, entry
from workloads.data.datasets import load
from workloads.errors import UserError, closest


def test_catalogue_imports_neither_torch_nor_numpy() -> None:
    code = "import sys, workloads.data.catalogue; print({'torch', 'numpy', 'sklearn', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_class_names_are_safe() -> None:
    for item in CATALOGUE.values():
        for name in item.classes or ():
            assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")


def test_unknown_dataset_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean: fashion_mnist") as caught:
        load("Fashion-MNIST", tmp_path)
    assert caught.value.nearest == "fashion_mnist"
    assert closest("zzzz", CATALOGUE) == ""


def test_errors_survive_pickling() -> None:
    bad = UserError("a", where="b", nearest="c", fix="d")
    missing = UserError("mnist", [Path("/x")], "fetch it", ["half of it"])
    for error in (bad, missing):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_every_entry_has_its_facts() -> None:
    for item in CATALOGUE.values():
        assert item.title
        assert item.licence
        assert item.how_to_get
        assert item.channels in (1, 3)
        assert len(set(item.classes or ())) == len(item.classes or ())
        assert all(re.fullmatch("[0-9a-f]{32}", md5) for md5 in item.checksums.values())
    assert len(entry("cifar100").classes or ()) == 100
    assert [entry(name).train_per_class for name in ("cifar10", "cifar100", "mnist", "folder")] == [5000, 500, 6000, 0]


def test_checksums_are_those_that_torchvision_has() -> None:
    idx = {"mnist": published.MNIST, "fashion_mnist": published.FashionMNIST, "kmnist": published.KMNIST}
    for name, theirs in idx.items():
        assert entry(name).checksums == dict(theirs.resources)
    for name, theirs in (("cifar10", published.CIFAR10), ("cifar100", published.CIFAR100)):
        files = {theirs.filename: theirs.tgz_md5, theirs.meta["filename"]: theirs.meta["md5"]}
        files |= dict(theirs.train_list + theirs.test_list)
        assert files.items() <= entry(name).checksums.items()
    svhn = published.SVHN.split_list
    assert entry("svhn").checksums == {file: md5 for _, file, md5 in (svhn["train"], svhn["test"])}
    omniglot = {f"{folder}.zip": md5 for folder, md5 in published.Omniglot.zips_md5.items()}
    assert entry("omniglot").checksums == omniglot
    assert entry("celeba").checksums.items() <= {name: md5 for _, md5, name in published.CelebA.file_list}.items()
    archives = published.Imagenette._ARCHIVES.values()
    assert entry("imagenet10").checksums == {url.rpartition("/")[2]: md5 for url, md5 in archives}
    assert list(published.Imagenette._WNID_TO_CLASS) == list(entry("imagenet10").folders)


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name not in ("digits", "folder")])
@pytest.mark.parametrize("download", [False, True])
def test_missing_data_says_where_and_how(
    tmp_path: Path, name: str, download: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_network(monkeypatch)
    with pytest.raises(UserError) as caught:
        load(name, tmp_path, download=download)
    message = str(caught.value)
    assert str(tmp_path) in message
    assert entry(name).how_to_get in message
    assert "sweep_digits" in message
    assert ("the download failed: " in message) == (download and entry(name).download)
