"""What is known of each dataset without opening it. No torch or numpy here: the CLI lists this in a moment."""

from dataclasses import dataclass

from workloads.errors import BadInputError, closest


@dataclass(frozen=True)
class Entry:
    """A dataset's facts.

    classes: safe as path pieces and metric names, in label order; None where the user's folders give them.
    channels: 1 grey, 3 RGB. native_side: pixels; 0 where it depends on the user's images.
    train_per_class: training images of a typical class, test_images: of all classes together; 0 where unknown.
    download: whether `load` may fetch it from the internet.
    """

    name: str
    title: str
    classes: tuple[str, ...] | None
    channels: int
    native_side: int
    train_per_class: int
    test_images: int
    licence: str
    how_to_get: str
    download: bool


def entry(name: str) -> Entry:
    """The facts of the dataset `name`. Raises BadInputError, with the nearest name, where there is none."""
    if name in CATALOGUE:
        return CATALOGUE[name]
    raise BadInputError(
        f"there is no dataset {name!r}",
        where="dataset",
        nearest=closest(name, CATALOGUE),
        fix=f"use one of {', '.join(CATALOGUE)}",
    )


def out_set_names(name: str) -> tuple[str, ...]:
    """What can stand against the dataset `name` as out of distribution: all other datasets but a user's, and noise."""
    return (*(other for other in CATALOGUE if other not in (name, "folder")), NOISE)


NOISE = "noise"  # an out set that no file holds
_TEN_DIGITS = tuple("0123456789")

CATALOGUE: dict[str, Entry] = {
    item.name: item
    for item in (
        Entry(
            name="digits",
            title="Optical recognition of handwritten digits (UCI; the 1,797 that scikit-learn ships)",
            classes=_TEN_DIGITS,
            channels=1,
            native_side=8,
            train_per_class=90,
            test_images=896,
            licence="CC BY 4.0 (UCI)",
            how_to_get="nothing to do: it comes with scikit-learn",
            download=False,
        ),
        Entry(
            name="cifar10",
            title="CIFAR-10",
            classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
            channels=3,
            native_side=32,
            train_per_class=5000,
            test_images=10000,
            licence="none stated; cite Krizhevsky 2009",
            how_to_get="unpack cifar-10-binary.tar.gz or cifar-10-python.tar.gz from "
            "https://www.cs.toronto.edu/~kriz/cifar.html in the data folder",
            download=True,
        ),
        Entry(
            name="mnist",
            title="MNIST handwritten digits",
            classes=_TEN_DIGITS,
            channels=1,
            native_side=28,
            train_per_class=6000,
            test_images=10000,
            licence="CC BY-SA 3.0",
            how_to_get="put the four *-ubyte files (plain or .gz) in MNIST/raw in the data folder",
            download=True,
        ),
        Entry(
            name="fashion_mnist",
            title="Fashion-MNIST (Zalando)",
            classes=(
                "t-shirt",
                "trouser",
                "pullover",
                "dress",
                "coat",
                "sandal",
                "shirt",
                "sneaker",
                "bag",
                "ankle-boot",
            ),
            channels=1,
            native_side=28,
            train_per_class=6000,
            test_images=10000,
            licence="MIT (Expat)",
            how_to_get="apt-get install dataset-fashion-mnist (Debian and Ubuntu), "
            "or put the four *-ubyte files (plain or .gz) in FashionMNIST/raw in the data folder",
            download=True,
        ),
        Entry(
            name="folder",
            title="Your own images: one folder a class, or train/ and test/ with one folder a class",
            classes=None,
            channels=3,
            native_side=0,
            train_per_class=0,
            test_images=0,
            licence="yours",
            how_to_get="give the path of a folder with one folder of images for each class",
            download=False,
        ),
    )
}
