"""Progress of work on many images: a bar with images/s and the time left, or a line now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from orchestrator.console.output import duration, say
from orchestrator.data.auxiliary.manifest import Seen

EVERY = 5.0  # seconds between lines where there is no terminal


@contextmanager
def shown_progress(out: Console, pieces: str) -> Iterator[Seen]:
    """A function to call whenever a piece (a shard) is done; what was done before the first call is not in the rate."""
    with Progress(
        TextColumn("{task.fields[text]}"), BarColumn(), TimeRemainingColumn(), console=out, disable=not out.is_terminal
    ) as bar:
        task = bar.add_task("", text=pieces, total=None)
        begun: list[float] = []
        last_line = [0.0]

        def seen(done: int, total: int, images: int, all_images: int) -> None:
            time_s = time.monotonic()
            if not begun:
                begun.extend((time_s, images, done))
            rate = (images - begun[1]) / max(time_s - begun[0], 1e-6)
            text = f"{pieces} {done}/{total}, {images:,} images, {rate:,.0f} images/s"
            bar.update(task, text=text, total=total, completed=done)
            if out.is_terminal or (time_s - last_line[0] < EVERY and done < total):
                return
            last_line[0] = time_s
            seconds_a_piece = (time_s - begun[0]) / max(done - begun[2], 1)
            left = (all_images - images) / rate if all_images and rate else seconds_a_piece * (total - done)
            say(out, text + (f", {duration(left)} left" if done < total and done > begun[2] else ""))

        yield seen


@contextmanager
def shown_images(out: Console) -> Iterator[Callable[[int, int], None]]:
    """A function to call with the images done and those in all."""
    with shown_progress(out, "files") as seen:
        yield lambda done, total: seen(done, total, done, total)
