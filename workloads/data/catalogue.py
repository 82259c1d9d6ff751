"""What is known of each dataset without opening it. No torch or numpy here: the CLI lists this in a moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from workloads.data.reading import facts as published
from workloads.errors import UserError, closest


def entry(name: str) -> "Entry":
    """The facts of the dataset `name`. Raises UserError, with the nearest name, where there is none."""
    if name in CATALOGUE:
        return CATALOGUE[name]
    raise UserError(
        f"there is no dataset {name!r}",
        where="dataset",
        nearest=closest(name, CATALOGUE),
        fix=f"use one of {', '.join(CATALOGUE)}",
    )


@dataclass(frozen=True)
class Entry:
    """A dataset's facts.

    classes: those that can be normal, in label order, safe as path pieces and metric names; None where the user's
    folders give them; one alone where the images have no classes to tell apart. A dataset may have further labels that
    are only ever anomalies.
    channels: 1 grey, 3 RGB. native_side: pixels; 0 where images differ (image files are decoded at the side asked for).
    train_images, test_images: of all classes together, as published; 0 where unknown.
    download: whether `load` may fetch it from the internet.
    checksums: file name -> MD5 (32 hex digits), of archives and files as published; empty where none are.
    """

    name: str
    title: str
    classes: tuple[str, ...] | None
    channels: int
    native_side: int
    train_images: int
    test_images: int
    licence: str
    how_to_get: str
    download: bool
    checksums: Mapping[str, str] = field(default_factory=dict)
    out_only: bool = False  # no training images here: it can only stand against others

    @property
    def train_per_class(self) -> int:
        """Training images of a typical class; 0 where unknown."""
        return round(self.train_images / len(self.classes)) if self.classes else 0


def out_set_names(name: str) -> tuple[str, ...]:
    """What can stand against the dataset `name` as out of distribution: all other datasets but a user's, and noise."""
    return (*(other for other in CATALOGUE if other not in (name, "folder")), NOISE)


def auxiliary_names() -> tuple[str, ...]:
    """What general images can come from: the `SOURCES`, and the training images of any dataset that has some."""
    return (*SOURCES, *(name for name, item in CATALOGUE.items() if name != "folder" and not item.out_only))


@dataclass(frozen=True)
class SourceEntry:
    """A source of general images that is no dataset. Licence and origin as in `Entry`.

    place: file or folder in the data folder where no path is given; empty where there is nothing to read.
    images: what it gives where no number is asked for; 0 where that depends on the user's files.
    """

    title: str
    place: str
    licence: str
    how_to_get: str
    images: int = 0


def _brats(modality: str) -> Entry:
    return Entry(
        name="brats" if modality == "all" else f"brats_{modality}",
        title=f"BraTS 2018 brain slices as images, {'all modalities' if modality == 'all' else modality}",
        classes=("slice",),
        channels=3,
        native_side=0,
        train_images=0,
        test_images=0,
        licence="the challenge's terms: research, after registration",
        how_to_get="put slices as image files under brats/lgg, brats/hgg (train) and brats/valid (test) in the data "
        "folder, with the modality (t1, t1ce, t2, flair) as a word of the file's or a folder's name",
        download=False,
    )


NOISE = "noise"  # an out set that no file holds
MODALITIES = ("all", "t1", "t1ce", "t2", "flair")

SOURCES: dict[str, SourceEntry] = {
    "photo_tiles": SourceEntry(
        title="overlapping tiles, at several scales, of scikit-learn's two sample photographs: small, but no download",
        place="",
        licence="CC BY (the photographs' own; see scikit-learn)",
        how_to_get="nothing to do: they come with scikit-learn",
        images=10_000,  # they overlap, so many more bring little
    ),
    "prepared": SourceEntry(
        title="a set made by `data prepare`, of any size: it is streamed and never held in memory",
        place="auxiliary_set",
        licence="that of its images",
        how_to_get="make it with `python -m orchestrator data prepare`, and give its folder or URI",
    ),
    "folder": SourceEntry(
        title="any folder of images, at any depth",
        place="general",
        licence="yours",
        how_to_get="put the images under general/ in the data folder, or give the path of their folder",
    ),
    "arrays": SourceEntry(
        title="uint8 arrays: downsampled ImageNet's .npz batches, or .npy such as 300K Random Images",
        place="imagenet32",
        licence="ImageNet's terms of access: non-commercial research and education",
        how_to_get="fetch the npz version of ImageNet 32x32 from https://image-net.org/download-images and put it in "
        "imagenet32/ in the data folder, or give the path of its folder or of one file",
    ),
    "tiny_images": SourceEntry(
        title="80 Million Tiny Images, tiny_images.bin: the paper's 1,562,560 of them",
        place="tiny_images.bin",
        licence="none stated; withdrawn by its authors in 2020",
        how_to_get="it is no longer offered; 'arrays' with ImageNet 32x32 can stand in, with numbers of its own",
        images=1_562_560,
    ),
}

CATALOGUE: dict[str, Entry] = {
    item.name: item
    for item in (
        Entry(
            name="digits",
            title="Optical recognition of handwritten digits (UCI; the 1,797 that scikit-learn ships)",
            classes=published.DIGITS,
            channels=1,
            native_side=8,
            train_images=901,
            test_images=896,
            licence="CC BY 4.0 (UCI)",
            how_to_get="nothing to do: it comes with scikit-learn",
            download=False,
        ),
        Entry(
            name="cifar10",
            title="CIFAR-10",
            classes=published.CIFAR10,
            channels=3,
            native_side=32,
            train_images=50_000,
            test_images=10_000,
            licence="none stated; cite Krizhevsky 2009",
            how_to_get="unpack cifar-10-binary.tar.gz or cifar-10-python.tar.gz from "
            "https://www.cs.toronto.edu/~kriz/cifar.html in the data folder",
            download=True,
            checksums=published.CIFAR10_MD5,
        ),
        Entry(
            name="cifar100",
            title="CIFAR-100, its 100 fine classes",
            classes=published.CIFAR100,
            channels=3,
            native_side=32,
            train_images=50_000,
            test_images=10_000,
            licence="none stated; cite Krizhevsky 2009",
            how_to_get="unpack cifar-100-binary.tar.gz or cifar-100-python.tar.gz from "
            "https://www.cs.toronto.edu/~kriz/cifar.html in the data folder",
            download=True,
            checksums=published.CIFAR100_MD5,
        ),
        Entry(
            name="mnist",
            title="MNIST handwritten digits",
            classes=published.DIGITS,
            channels=1,
            native_side=28,
            train_images=60_000,
            test_images=10_000,
            licence="CC BY-SA 3.0",
            how_to_get="put the four *-ubyte files (plain or .gz) in MNIST/raw in the data folder",
            download=True,
            checksums=published.MNIST_MD5,
        ),
        Entry(
            name="fashion_mnist",
            title="Fashion-MNIST (Zalando)",
            classes=published.FASHION_MNIST,
            channels=1,
            native_side=28,
            train_images=60_000,
            test_images=10_000,
            licence="MIT (Expat)",
            how_to_get="apt-get install dataset-fashion-mnist (Debian and Ubuntu), "
            "or put the four *-ubyte files (plain or .gz) in FashionMNIST/raw in the data folder",
            download=True,
            checksums=published.FASHION_MNIST_MD5,
        ),
        Entry(
            name="kmnist",
            title="Kuzushiji-MNIST, ten cursive Hiragana",
            classes=published.KMNIST,
            channels=1,
            native_side=28,
            train_images=60_000,
            test_images=10_000,
            licence="CC BY-SA 4.0",
            how_to_get="put the four *-ubyte files (plain or .gz) from http://codh.rois.ac.jp/kmnist "
            "in KMNIST/raw in the data folder",
            download=True,
            checksums=published.KMNIST_MD5,
        ),
        Entry(
            name="omniglot",
            title="Omniglot, handwritten characters of 50 alphabets, black on white; its two sets share no alphabet",
            classes=("character",),
            channels=1,
            native_side=105,
            train_images=19_280,
            test_images=13_180,
            licence="MIT",
            how_to_get="unpack images_background.zip and images_evaluation.zip from "
            "https://github.com/brendenlake/omniglot in omniglot-py/ in the data folder",
            download=False,
            checksums=published.OMNIGLOT_MD5,
        ),
        Entry(
            name="svhn",
            title="Street View House Numbers, cropped digits (without the 'extra' images)",
            classes=published.DIGITS,
            channels=3,
            native_side=32,
            train_images=73_257,
            test_images=26_032,
            licence="non-commercial use only",
            how_to_get="put train_32x32.mat and test_32x32.mat from http://ufldl.stanford.edu/housenumbers "
            "in svhn/ in the data folder",
            download=True,
            checksums=published.SVHN_MD5,
        ),
        Entry(
            name="imagenet10",
            # The paper does not list its classes: that DROCC's ten are Imagenette's is this project's reading.
            title="ImageNet10, read as Imagenette's ten classes (our reading: no paper lists them)",
            classes=tuple(published.IMAGENET10_WNIDS),
            channels=3,
            native_side=0,
            train_images=9_469,
            test_images=3_925,
            licence="ImageNet's terms of access: non-commercial research and education",
            how_to_get="unpack imagenette2.tgz, imagenette2-320.tgz or imagenette2-160.tgz from "
            "https://github.com/fastai/imagenette in the data folder, or make imagenet10/train/<class> and "
            "imagenet10/val/<class> from ImageNet",
            download=False,
            checksums=published.IMAGENETTE_MD5,
        ),
        Entry(
            name="mvtec_textures",
            title="MVTec AD, its five textures, each tested on its own images, with masks of the defects",
            classes=published.MVTEC_TEXTURES,
            channels=3,
            native_side=0,
            train_images=1_266,
            test_images=515,
            licence="CC BY-NC-SA 4.0",
            how_to_get="unpack carpet, grid, leather, tile and wood from "
            "https://www.mvtec.com/company/research/datasets/mvtec-ad in mvtec/ in the data folder; "
            "one texture alone can be read as the dataset 'folder'",
            download=False,
        ),
        Entry(
            name="tiny_imagenet",
            title="Tiny ImageNet, 200 classes; val is the test split, the unlabelled test images the out set",
            classes=published.TINY_IMAGENET_WNIDS,
            channels=3,
            native_side=64,
            train_images=100_000,
            test_images=10_000,
            licence="ImageNet's terms of access: non-commercial research and education",
            how_to_get="unpack http://cs231n.stanford.edu/tiny-imagenet-200.zip in the data folder",
            download=False,
        ),
        Entry(
            name="lsun",
            title="LSUN scenes, the validation images of all ten categories: an out set only",
            classes=published.LSUN,
            channels=3,
            native_side=0,
            train_images=0,
            test_images=3_000,
            licence="none stated; cite Yu et al. 2015",
            how_to_get="unpack the ten <category>_val_lmdb.zip of https://github.com/fyu/lsun in lsun/ in the data "
            "folder (needs pip install lmdb), or export them to lsun/val/<category>",
            download=False,
            out_only=True,
        ),
        Entry(
            name="celeba",
            title="CelebA faces (aligned, centre square), no classes; celeb_<i>.png alone are all test images",
            classes=("face",),
            channels=3,
            native_side=0,
            train_images=162_770,
            test_images=19_962,
            licence="non-commercial research only",
            how_to_get="unpack img_align_celeba.zip and put list_eval_partition.txt, both from "
            "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, in celeba/ in the data folder; or put ready-made "
            "celeb_<i>.png there",
            download=False,
            checksums=published.CELEBA_MD5,
        ),
        *map(_brats, MODALITIES),
        Entry(
            name="folder",
            title="Your own images: one folder a class, or train/ and test/ with one folder a class",
            classes=None,
            channels=3,
            native_side=0,
            train_images=0,
            test_images=0,
            licence="yours",
            how_to_get="give the path of a folder with one folder of images for each class",
            download=False,
        ),
    )
}
