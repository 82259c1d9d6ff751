"""Which datasets stand against which in the flow papers, and what they take for the auxiliary set."""

from tune_spaces.schema import Auxiliary, Data

RGB_SETS = ("cifar10", "cifar100", "svhn", "lsun", "celeba", "tiny_imagenet")
GREY_SETS = ("mnist", "fashion_mnist")
TINY_IMAGES = Auxiliary(name="tiny_images")  # the published one: withdrawn, so `--auxiliary` can name another


def in_out(name: str, *, auxiliary: bool = True) -> Data:
    """A whole dataset as normal, the others of its paper's list as out sets; at 32 x 32 pixels."""
    others = tuple(other for other in (GREY_SETS if name in GREY_SETS else RGB_SETS) if other != name)
    return Data(name=name, protocol="in_out", side=32, out=others, auxiliary=(TINY_IMAGES,) if auxiliary else ())
