"""Speeds that runs of a storage have measured, by what they were measured for (`planning.cost.rates_key`)."""

import json

from upath import UPath

from workloads.files import write_atomically


def read_rates(storage: UPath, key: str) -> dict[str, float] | None:
    """Speeds that an earlier run in this storage measured for the same space and preset."""
    path = storage / "rates.json"
    try:
        return json.loads(path.read_text()).get(key)
    except (OSError, ValueError, AttributeError, ImportError):
        return None  # only an estimate hangs on it


def write_rates(storage: UPath, key: str, rates: dict[str, float]) -> None:
    """Keep the speeds that a run has measured for the next plan of the same key."""
    path = storage / "rates.json"
    try:
        rates_by_key = dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        rates_by_key = {}
    write_atomically(path, json.dumps(rates_by_key | {key: rates}, indent=1).encode())
