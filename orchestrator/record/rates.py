"""Speeds that runs of a storage have measured, by what they were measured for: the next plan's estimate."""

import json
from collections.abc import Iterable
from contextlib import suppress

from upath import UPath

from orchestrator.record.state import TrialState
from tune_spaces.schema import Resources
from workloads.files import read_checked, write_checked

FILE = "rates.json"


def rates_key(name: str, preset: str, resources: Resources) -> str:
    """What a speed was measured for: it holds for the same space, preset, device, share of it and way of splitting."""
    device = f"gpu-{resources.gpus_per_worker:g}" if resources.gpus_per_worker else "cpu"
    return f"{name}/{preset}/{device}/{resources.share}"


def read_rates(storage: str, name: str, preset: str, resources: Resources) -> dict[str, float] | None:
    """Speeds that an earlier run in this storage measured for the same space and preset."""
    try:
        return all_rates(UPath(storage)).get(rates_key(name, preset, resources))
    except ImportError:  # of the storage's file system
        return None


SHORTEST = 0.1
"""Seconds of work that a speed can be told from."""


def keep_rates(
    storage: str, name: str, preset: str, resources: Resources, workers: int, trials: Iterable[TrialState]
) -> None:
    """Keep the speed that a run has measured: multiply-accumulates per second of a worker, over all its trials,
    interrupted ones too.

    workers: that trained a trial. Nothing is kept where several have shared batches: their seconds hold what they
    waited for each other, which is another time with another number of them.
    """
    if resources.share == "batches" and workers > 1:
        return
    ended = [trial.last for trial in trials if trial.rungs]
    seconds, macs = sum(rung.train_seconds for rung in ended), sum(rung.macs for rung in ended)
    if seconds < SHORTEST or not macs:  # a general flow that is scored as it is trains nothing
        return
    with suppress(OSError):  # only an estimate hangs on it
        write_rates(UPath(storage), rates_key(name, preset, resources), {"rate": macs / seconds})


def write_rates(storage: UPath, key: str, rates: dict[str, float]) -> None:
    write_checked(storage / FILE, json.dumps(all_rates(storage) | {key: rates}, indent=1).encode())


def all_rates(storage: UPath) -> dict[str, dict[str, float]]:
    """None where the file is not there or damaged: only estimates hang on it, and runs measure speeds anew."""
    try:
        return dict(json.loads(read_checked(storage / FILE)))
    except (OSError, ValueError, TypeError):
        return {}
