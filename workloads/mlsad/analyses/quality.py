"""How good the generators of one target are: matching up to their level, and broken beyond it.

Numbers of G_k have the prefix ``G_k/``; distances are root mean squares over pixels in [0, 1] (see `distances`).

======================  ==========================================================================================
accuracy_at_k           of a fresh patch classifier of receptive field k; near .5: fakes match up to k x k windows
accuracy_at_2k          the same at 2k; well above .5: larger structure is broken, so D_2k has something to learn
nearest_fake            distance of a fake to the nearest training image; near 0: memorised
nearest_real            the same for held-out real images: what a new image of the class would have
diversity_fake          mean distance between fakes; 0: collapsed. Good: about diversity_real or above
diversity_real          the same between held-out real images
mean_image              distance of the mean fake to the mean training image; good: about mean_image_real
mean_image_real         the same for held-out real images: the error of so few images
information             last logged estimate of I(G(z); z), nats (Eq. 1): a reward, no measured entropy. jsd has its
                        start at -1.386 (-2 log 2) and its end at 0; dv starts at 0
lambda                  mean over the logged steps of Eq. 8, in [0, 1]; near 0: the entropy term was clipped away
======================  ==========================================================================================

An undefined number (no held-out images, no history) is None. Few training images or steps make a classifier weaker, so
both accuracies are lower bounds, and one that learnt nothing says .5 as well: read accuracy_at_k beside accuracy_at_2k.

Held-out real images are ``val``, which nothing here trained on. Where they are fewer than 64 the normal test images
join them: to choose a configuration by this report is then to look at test images. ``held_out/val`` and
``held_out/test`` count both. Held-out fakes are those that detectors do not train on either (`contrast.HELD_OUT`).

The no-entropy ablation is two launches, as lambda_entropy shapes the shared generators: one with
``--set lambda_entropy=0``, one without. Compare G_2/diversity_fake, G_2/nearest_fake and G_2/accuracy_at_k (the paper
shows k = 2).
"""

import torch
from torch import Tensor

from workloads.data.conform import as_channels
from workloads.data.view import TargetView
from workloads.figures import image_rows
from workloads.learner import Finding, Fitted
from workloads.mlsad.analyses.distances import diversity, mean_difference, nearest
from workloads.mlsad.analyses.judge import Images, accuracy
from workloads.mlsad.config import CONTRAST, MLSADConfig
from workloads.mlsad.contrast import split_bank
from workloads.mlsad.levels import part_of
from workloads.mlsad.mrf import level_0, level_1
from workloads.scoring.metrics import mean
from workloads.training.distributed import Draws, Parallel
from workloads.training.seeds import derive_seed
from workloads.units import Unit

COLUMNS = 8
FEW = 64  # validation images; with fewer, one of them moves an accuracy by more than 1.5 points


def generators(config: MLSADConfig, view: TargetView, fitted: Fitted, seed: int) -> Finding:
    """The report on all generators of the target, the picture ``generators``, the curves ``information``, ``lambda``.

    The picture's rows: real, level 0 (noise), level 1 (pixels shuffled), then the generators in order. Raises
    ValueError where the artifact of a generator is missing.
    """
    levels = [CONTRAST[level] for level in config.levels if CONTRAST[level] > 1]
    numbers: dict[str, float | None] = {
        "held_out/val": len(view.val),
        "held_out/test": len(held_out(view)) - len(view.val),
    }
    for level in levels:
        numbers |= quality(config, level, view, fitted, seed).numbers
    curves = {
        name: {f"G_{k}": logged(fitted, view.target, k, name) for k in levels} for name in ("information", "lambda")
    }
    return Finding(numbers, {"generators": image_rows(samples(config, view, fitted, levels, seed))}, curves)


def logged(fitted: Fitted, target: str, level: int, name: str) -> list[tuple[float, float]]:
    """(step, value) of what G_k's training logged under a name."""
    return [(row["step"], row[name]) for row in fitted.histories.get(str(stage(target, level)), ())]


def quality(config: MLSADConfig, level: int, view: TargetView, fitted: Fitted, seed: int) -> Finding:
    """The numbers of one generator G_k, k = `level`."""
    fake = Images(*split_bank(bank(fitted, view.target, level)))
    channels = fake.train.shape[1]
    real = Images(as_channels(view.train, channels), as_channels(held_out(view), channels))
    fields = {"k": level, "2k": 2 * level}
    numbers = {
        f"accuracy_at_{name}": accuracy(config, field, real, fake, derive_seed(seed, "quality", level, field))
        for name, field in fields.items()
    }
    numbers |= {
        "nearest_fake": nearest(fake.held_out, real.train),
        "nearest_real": nearest(real.held_out, real.train),
        "diversity_fake": diversity(fake.held_out),
        "diversity_real": diversity(real.held_out),
        "mean_image": mean_difference(torch.cat(fake), real.train),
        "mean_image_real": mean_difference(real.held_out, real.train),
    }
    numbers |= schedule(fitted, view.target, level)
    return Finding({f"G_{level}/{name}": value for name, value in numbers.items()})


def schedule(fitted: Fitted, target: str, level: int) -> dict[str, float | None]:
    """What training logged of the entropy term; None where no history came along."""
    history = fitted.histories.get(str(stage(target, level)), ())
    return {
        "information": history[-1]["information"] if history else None,
        "lambda": mean(row["lambda"] for row in history),
    }


def samples(config: MLSADConfig, view: TargetView, fitted: Fitted, levels: list[int], seed: int) -> dict[str, Tensor]:
    """8 images a row: real, level 0, level 1, then the held-out fakes of each generator."""
    train = as_channels(view.train, 3 if config.grey_as_rgb else view.train.shape[1])
    draws = Draws(derive_seed(seed, "samples"), train.device, Parallel())
    rows = {"real": train[:COLUMNS], "noise": level_0(draws, (COLUMNS, *train.shape[1:]))}
    rows["shuffled"] = level_1(draws, train, COLUMNS)
    return rows | {f"G_{level}": split_bank(bank(fitted, view.target, level))[1][:COLUMNS] for level in levels}


def held_out(view: TargetView) -> Tensor:
    """uint8 (N, C, S, S) normal images that no generator and no classifier of this report trains on."""
    if len(view.val) >= FEW:
        return view.val
    return torch.cat([view.val, view.test_images(anomalous=False)])


def bank(fitted: Fitted, target: str, level: int) -> Tensor:
    """uint8 (M, C, S, S) fakes of G_k, C as the networks have."""
    name = str(stage(target, level))
    if name not in fitted.artifacts:
        raise ValueError(f"the report on G_{level} needs the artifact of {name}")
    return fitted.artifacts[name]["fakes"]


def stage(target: str, level: int) -> Unit:
    return Unit("generator", target, part_of(level))
