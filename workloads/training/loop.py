"""The loop that trains any learner, and how it is resumed: a checkpoint holds the learner and what it has behind it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from workloads.learner import Learner
from workloads.training.checkpoint import MANIFEST, CorruptCheckpointError, is_complete, load_state, save_state

SAVE_EVERY = 120.0  # seconds between saved states inside a long schedule; where they fall changes no number
SHOW_EVERY = 1.0

History = list[dict[str, float]]
"""`step` and what a learner logged there, of about 50 steps of a schedule."""


@dataclass
class Progress:
    """What a learner has behind it: steps, what it logged, seconds of training."""

    step: int = 0
    history: History = field(default_factory=list)
    seconds: float = 0.0


def train(
    learner: Learner,
    progress: Progress,
    until: int,
    batches: Callable[[int], Tensor],
    save: Callable[[], None],
    show: Callable[[int], None],
    name: str = "the learner",
) -> None:
    """Take the steps from where `progress` stands to `until`, and keep `progress` up to date.

    batches: step -> this worker's rows of the step's images, uint8 (B, C, H, W). save: called now and then. show: is
    told of steps that are done, about once a second. Raises FloatingPointError, with the `name`, where what is logged
    is not finite.
    """
    begun, spent = time.monotonic(), progress.seconds
    saved, shown = begun, 0.0
    every = max(1, learner.total_steps // 50)
    for step in range(progress.step, until):
        logs = learner.step(step, batches(step))
        if step % every == 0 or step == until - 1:
            values = {key: float(value) for key, value in logs.items()}
            progress.history.append({"step": step} | values)
            if not all(torch.isfinite(torch.tensor([step, *values.values()]))):
                raise FloatingPointError(f"{name} diverged at step {step}: {progress.history[-1]}")
        moment = time.monotonic()
        progress.step, progress.seconds = step + 1, spent + moment - begun
        if moment - shown > SHOW_EVERY:
            show(step + 1)
            shown = moment
        if moment - saved > SAVE_EVERY:
            save()
            saved = moment


def save_progress(folder: Path, learner: Learner, progress: Progress) -> None:
    """Save a learner and what it has behind it, so that `resume` finds both."""
    state = {"step": progress.step, "learner": learner.state(), "history": progress.history}
    save_state(folder, state | {"seconds": progress.seconds})


def resume(folder: Path, learner: Learner) -> Progress | None:
    """Load the state in `folder` into the learner: what it has behind it, or None where no whole state is there."""
    if not is_complete(folder):
        return None
    try:
        state = load_state(folder)
    except CorruptCheckpointError as error:
        print(f"ignoring a damaged checkpoint: {error}", flush=True)  # noqa: T201 - the worker's log
        return None
    learner.load_state(state["learner"])
    return Progress(state["step"], state["history"], state["seconds"])


def discard(folder: Path) -> None:
    """Remove a state that a later one has replaced: its manifest first, so that it never looks complete."""
    if not folder.exists():
        return
    (folder / MANIFEST).unlink(missing_ok=True)
    for file in list(folder.iterdir()):  # also what a killed writer left
        file.unlink()
    folder.rmdir()
