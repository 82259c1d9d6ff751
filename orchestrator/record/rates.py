"""Speeds that runs of a storage have measured, by what they were measured for (`planning.cost.rates_key`)."""

import json

from upath import UPath

from workloads.files import read_checked, write_checked

FILE = "rates.json"


def read_rates(storage: UPath, key: str) -> dict[str, float] | None:
    """Speeds that an earlier run in this storage measured for the same space and preset."""
    try:
        return all_rates(storage).get(key)
    except ImportError:  # of the storage's file system
        return None


def write_rates(storage: UPath, key: str, rates: dict[str, float]) -> None:
    """Keep the speeds that a run has measured for the next plan of the same key."""
    write_checked(storage / FILE, json.dumps(all_rates(storage) | {key: rates}, indent=1).encode())


def all_rates(storage: UPath) -> dict[str, dict[str, float]]:
    """None where the file is not there or damaged: only estimates hang on it, and runs measure speeds anew."""
    try:
        return dict(json.loads(read_checked(storage / FILE)))
    except (OSError, ValueError, TypeError):
        return {}
