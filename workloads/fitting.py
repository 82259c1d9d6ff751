"""Training without a run: a method and an array of normal images in, a detector out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from workloads.data.conform import conform
from workloads.data.images import LabelledImages
from workloads.data.protocols import held_out
from workloads.data.shuffling import shuffled
from workloads.data.splits import Targets
from workloads.data.view import TargetView, auxiliary_view, training_view
from workloads.detector import Detector, channels_first, device_named
from workloads.errors import Kind, Problem, UserError, several
from workloads.key_types import configured
from workloads.keys import PRECISION, leaves_precision_open
from workloads.learner import Learner, Stage
from workloads.method import Method
from workloads.registry import method as method_named
from workloads.training.batches import unit_batches
from workloads.training.distributed import Parallel
from workloads.training.loop import Progress, train
from workloads.training.precision import fast
from workloads.units import GENERAL, DataFacts, ImageShape, Unit

Shown = Callable[[float, float, str], None]
"""Hears about once a second how far a fit is: networks done, with the fraction of the present one; how many there are;
which one it is."""

VAL_FRACTION, AUXILIARY_VAL_FRACTION = 0.1, 0.2  # held out, as in a space


def fit(
    method: str | type[Method],
    images: NDArray[np.uint8],
    config: Mapping[str, Any] | None = None,
    *,
    validation: NDArray[np.uint8] | None = None,
    auxiliary: NDArray[np.uint8] | None = None,
    target: str = "normal",
    device: str | None = None,
    progress: Shown | None = None,
) -> Detector:
    """Train a detector of normal images in this process; no run, no files.

    method: "mlsad", "flow", "klods", or one of your own: ``module:Class``, or the class itself.
    images: normal ones, uint8 (N, H, W) or (N, H, W, C), C is 1 or 3, values 0 to 255; their shape is the detector's.
    config: keys of the method whose values are not to be the published ones; the published schedules take hours, so
    small ones are worth giving. A config's seed decides everything: the same call gives the same scores.
    validation: normal images to hold out; a tenth of `images` where left out. auxiliary: images of any kind, for a flow
    with hierarchy "general"; a fifth is held out. target: what the normal images are called. device: such as "cpu" or
    "cuda:0"; a GPU where there is one. progress: called as (done, total, text), see `Shown`.

    Raises UserError for other arrays, fewer than 2 images, an unknown method or key, values that do not fit, and where
    training diverges.
    """
    place = device_named(device)
    method_type = method_named(method) if isinstance(method, str) else method
    made = method_type(configured(method_type, settled(method_type, config or {}, place)))
    view = normal_view(images, validation, target, made.config.seed, place)
    if auxiliary is not None:
        view = replace(view, auxiliary=held_auxiliary(auxiliary, view.shape, made.config.seed, place))
    facts = DataFacts(view.shape, auxiliary=auxiliary is not None, classes=1)
    if problems := list(made.check(facts)):
        raise several([Problem(*problem) for problem in problems], f"the config of {made.name}")
    fitting = _Fit(made, view, progress or (lambda _done, _total, _text: None))
    torch.set_flush_denormal(True)  # fading activations of a GAN slow a CPU down many times otherwise
    try:
        return fitting.detector()
    except FloatingPointError as error:
        raise UserError(str(error), fix="give a lower learning rate", kind=Kind.FAILED) from error
    finally:
        torch.set_flush_denormal(False)


def settled(method_type: type[Method], config: Mapping[str, Any], device: torch.device) -> Mapping[str, Any]:
    """The values with a precision that was left to the device."""
    return {**config, PRECISION: fast(device)} if leaves_precision_open(method_type.Config, config) else config


class _Fit:
    """A method's units of one target, trained one after the other."""

    def __init__(self, method: Any, view: TargetView, shown: Shown) -> None:
        self.method, self.view, self.shown = method, view, shown
        stages = method.stages([view.target])
        self.stages = list(TopologicalSorter({unit: method.needs(unit) for unit in stages}).static_order())
        self.units: list[Unit] = method.units([view.target])
        self.artifacts: dict[str, Any] = {}

    def detector(self) -> Detector:
        for number, unit in enumerate(self.stages):
            learner = self.trained(number, unit)
            self.artifacts[str(unit)] = learner.artifact() if isinstance(learner, Stage) else learner.state()
        scorers = [self.scorer(len(self.stages) + number, unit) for number, unit in enumerate(self.units)]
        return Detector(self.view.target, self.view.shape, self.method, tuple(scorers), fit="squeeze")

    def scorer(self, number: int, unit: Unit) -> Any:
        """Of a detector's unit, once it is trained."""
        learner = self.trained(number, unit)
        read = self.needed(self.method.scoring_needs(unit))
        scorer = self.method.scorer(unit, self.view.shape, read, self.view.device)
        scorer.load_state(learner.state())
        return scorer

    def trained(self, number: int, unit: Unit) -> Learner:
        stages = self.needed(self.method.needs(unit))
        learner: Learner = self.method.learner(unit, self.view_of(unit), stages, Parallel())
        total, steps = len(self.stages) + len(self.units), learner.total_steps

        def show(step: int) -> None:
            self.shown(number + step / max(1, steps), total, f"{unit.kind} {unit.part}")

        batches = unit_batches(unit, self.method.config.seed, self.view_of(unit), learner.batch_size, Parallel())
        train(learner, Progress(), steps, batches, lambda: None, show, str(unit))
        show(steps)
        return learner

    def view_of(self, unit: Unit) -> TargetView:
        if unit.target != GENERAL or self.view.auxiliary is None:
            return self.view
        return auxiliary_view(self.view.auxiliary, numbered(GENERAL, len(self.view.auxiliary[1])))

    def needed(self, units: Sequence[Unit]) -> dict[str, Any]:
        return {str(unit): self.artifacts[str(unit)] for unit in units}


def normal_view(
    images: NDArray[np.uint8], validation: NDArray[np.uint8] | None, target: str, seed: int, device: torch.device
) -> TargetView:
    """Arrays as a target's images to learn from. Raises UserError for other arrays and for too few images."""
    rows = channels_first(images)
    shape = ImageShape(*rows.shape[1:])
    if validation is None:
        if len(rows) < 2:
            raise UserError(f"{len(rows)} training image(s), and one is to be held out", where="images")
        rows, held = divided(rows, VAL_FRACTION, seed, target)
    else:
        held = conform(channels_first(validation, "validation"), shape)
        if not len(rows) or not len(held):
            raise UserError("no image to learn from" if not len(rows) else "no image is held out", where="images")
    train, val = labelled(target, rows), labelled(f"{target}/val", held)
    return training_view(target, train, val, Targets((target,), (target,)), device)


def held_auxiliary(
    auxiliary: NDArray[np.uint8], shape: ImageShape, seed: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Auxiliary images in the detector's shape, train and held out, on the device. Raises UserError for too few."""
    rows = conform(channels_first(auxiliary, "auxiliary"), shape)
    if len(rows) < 2:
        raise UserError(f"{len(rows)} auxiliary image(s), and one is to be held out", where="auxiliary")
    train, val = (torch.from_numpy(part).to(device) for part in divided(rows, AUXILIARY_VAL_FRACTION, seed, GENERAL))
    return train, val


def divided(
    images: NDArray[np.uint8], fraction: float, seed: int, name: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images to learn from and held-out ones, a seeded choice, both in their order."""
    rows, count = shuffled(np.arange(len(images)), "fit", seed, name), held_out(len(images), fraction)
    return images[np.sort(rows[count:])], images[np.sort(rows[:count])]


def labelled(name: str, images: NDArray[np.uint8]) -> LabelledImages:
    return LabelledImages(np.ascontiguousarray(images), np.zeros(len(images), np.int64), numbered(name, len(images)))


def numbered(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name}/{number:07d}" for number in range(count))
