"""A method that fits in one go, as a learner of one step that scores images itself."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workloads.data.shuffling import shuffled
from workloads.errors import UserError
from workloads.learner import Scores, State, Tensors
from workloads.method import FittedMethod
from workloads.units import Unit

BATCH = 256
FOLDS = 5
"""Of the training images, each scored by a fit on the others (cross-conformal prediction, Vovk, 2015). Five leave every
fit 80 % of the images, so that these scores are nearly those that the fit on all gives fresh ones, for four fits' cost;
ten, the other usual choice, would take nine for 10 % more."""


class Fit:
    """images: uint8 (N, C, H, W) to learn from, on the device; None where a state is loaded. numbers: (N,) int64, of
    the image that each row is a window of, or of what several images show; without them no two rows show the same.

    The fit is made when it is first needed, so an early rung of a search has the scores of the last.
    """

    total_steps, batch_size = 1, 1

    def __init__(
        self,
        method: FittedMethod,
        device: torch.device,
        unit: Unit,
        images: Tensor | None = None,
        numbers: NDArray[np.int64] | None = None,
    ) -> None:
        self.method, self.device, self.unit, self.images = method, device, unit, images
        self.numbers = np.arange(0 if images is None else len(images)) if numbers is None else numbers

    @cached_property
    def fitted(self) -> State:
        """Raises ValueError without images."""
        if self.images is None:
            raise ValueError(f"{self.unit} has neither images to fit nor a state")
        return self._seeded(self.method.fit_windows, self.images, self.numbers)

    def _seeded(self, learn: Callable[..., State], *what: Any) -> State:
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self.method.seed(self.unit))
            state = learn(*what)
        if not isinstance(state, dict):
            raise returned(self.method.fit, state, "a dictionary of tensors and plain numbers")
        return state

    def step(self, step: int, images: Tensor) -> Tensors:  # noqa: ARG002 - of all images, not of a batch
        _ = self.fitted
        return {}

    def state(self) -> State:
        return self.fitted

    def load_state(self, state: State) -> None:
        self.fitted = on_device(state, self.device)

    def cross_scores(self) -> Scores:
        """Scores of the training images, each by a fit that has not seen it, nor what shows the same. Raises ValueError
        without images."""
        if self.images is None:
            raise ValueError(f"{self.unit} has no images to score")
        return self._crossed(self.images, self.numbers, partial(self._holding, self.method.fit_like))

    def _crossed(
        self, images: Tensor, numbers: NDArray[np.int64], learn: Callable[[Tensor, NDArray[np.int64]], "Fit"]
    ) -> Scores:
        shown = shuffled(np.unique(numbers), "folds", self.method.config.seed, self.unit.target)
        scores = np.zeros(len(numbers), np.float32)
        for fold in np.array_split(shown, min(FOLDS, len(shown))):
            left_out = np.isin(numbers, fold)
            rest = learn(images[torch.from_numpy(~left_out)], numbers[~left_out])
            scores[left_out] = rest.score(images[torch.from_numpy(left_out)])["score"]
        return {"score": scores}

    def extended(self, images: Tensor, numbers: NDArray[np.int64]) -> "Fit":
        """A fit with further normal images, uint8 (N, C, H, W), of a method that has `extend`."""
        return self._holding(self.method.extend, images, numbers) if len(images) else self

    def _holding(self, learn: Callable[..., State], images: Tensor, numbers: NDArray[np.int64]) -> "Fit":
        """What is learnt of this state and of images."""
        further = fit_of(self.method, self.device, self.unit)
        further.load_state(self._seeded(learn, self.fitted, images.to(self.device), numbers))
        return further

    def cross_extended(self, images: Tensor, numbers: NDArray[np.int64]) -> Scores:
        """Scores of further images, each by this fit with the others of them added, but not it, nor what shows the
        same."""
        return self._crossed(images, numbers, self.extended)

    def module(self) -> nn.Module:
        return self.method.module(self.fitted)

    @torch.no_grad()
    def score(self, images: Tensor) -> Scores:
        """One part, `score`: (N,) float32."""
        parts = [self._scores(part.to(self.device)) for part in images.split(BATCH)]
        return {"score": torch.cat(parts).float().cpu().numpy() if parts else torch.zeros(0).numpy()}

    def _scores(self, images: Tensor) -> Tensor:
        scores = self.method.score(self.fitted, images)
        if not isinstance(scores, Tensor) or scores.shape != (len(images),):
            raise returned(self.method.score, scores, f"a tensor of one number for each of {len(images)} images")
        return scores


class MappedFit(Fit):
    """Of a method that has `maps`."""

    @torch.no_grad()
    def maps(self, images: Tensor) -> Tensor:
        """Scores of pixels, (N, H, W) float32."""
        parts = [self.method.maps(self.fitted, part.to(self.device)).float() for part in images.split(BATCH)]
        return torch.cat(parts) if parts else torch.zeros((0, *images.shape[2:]), device=self.device)


def returned(function: Callable[..., Any], value: Any, wanted: str) -> UserError:
    """What to say of a method's function that returned what it should not have."""
    name = getattr(function, "__qualname__", "fit")
    shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
    return UserError(f"{name} returned a {type(value).__name__}{shape}, not {wanted}", where=function.__module__)


def fit_of(
    method: FittedMethod,
    device: torch.device,
    unit: Unit,
    images: Tensor | None = None,
    numbers: NDArray[np.int64] | None = None,
) -> Fit:
    """The fit of a unit; with maps where the method has them."""
    has_maps = type(method).maps is not FittedMethod.maps
    return (MappedFit if has_maps else Fit)(method, device, unit, images, numbers)


class FittedProgram(nn.Module):
    """A fit's scores as one program: uint8 (N, C, H, W) -> float32 (N,)."""

    def __init__(self, method: FittedMethod, fitted: State) -> None:
        super().__init__()
        self.method, self.fitted = method, fitted

    def forward(self, images: Tensor) -> Tensor:
        return self.method.score(self.fitted, images).float()


def on_device(value: Any, device: torch.device) -> Any:
    """A state with its tensors on the device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, list | tuple):
        return [on_device(item, device) for item in value]
    return {key: on_device(item, device) for key, item in value.items()} if isinstance(value, dict) else value
