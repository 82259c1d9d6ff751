"""Pins: the numbers of three small launches, read from the files that a run leaves on disk and from nothing else.

    [EXECUTOR=ray] python -m tests.regression.made_pins [mlsad|flow|klods ...]

makes them anew with the code of this checkout; do so only where numbers are meant to change, and say so in the commit.
A trial is known by its point, for its id holds a digest of the code.
"""

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from tests.helpers.commands import orchestrate

PINS = Path(__file__).with_name("pins")
ROOT = Path(__file__).parents[2]
EXECUTOR = os.environ.get("EXECUTOR", "local")
"""local or ray: both give the same numbers, to the bit."""

LAUNCHES = {
    "mlsad": "sweep_digits --points 2 --scheduler fifo --set generator_epochs=2.0 --set detector_epochs=1.0",
    # one trial alone is never stopped, so its two rungs do not depend on who arrives first
    "flow": "flow_digits --points 1 --scheduler asha --class 3 --class 8 --set outlier_loss=ratio",
    "klods": "klods_digits --search random --points 2",
}
"""Run -> a launch without a download whose numbers do not depend on the order in which trials end."""

NO_NUMBERS = ("train_seconds", "seconds", "macs", "intervals")
"""What a rung reports of its cost, another one each time or an estimate; intervals, which hang on the scores alone."""
BESIDE = ("average_precision", "best_f1", "fpr95")
"""Metrics of images beside the AUROC, which hang on the scores alone, too."""

KEYS = ["target", "split", "part", "image_id", "label", "anomalous"]
STEP = 7
"""Every seventh score is kept, so that a run on another processor can be compared with more than a hash."""


def launch(name: str, storage: Path) -> Path:
    """Run a launch through the command line, in this process; the run's folder. Raises RuntimeError with its output."""
    words = [
        *LAUNCHES[name].split(),
        "--name",
        name,
        "--preset",
        "smoke",
        "--cpus",
        "2",
        "--executor",
        EXECUTOR,
        "--plain",
    ]
    places = ["--storage", str(storage), "--data-dir", str(storage / "no-data")]
    done = orchestrate("launch", *words, *places, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"launch {name} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return storage / name


def read_pins(run: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(what is pinned as plain data, "trial/rung" -> every seventh score, float32)."""
    opened = json.loads((run / "ledger" / "000001.jsonl").read_text().splitlines()[0])
    trials, scores = [], {}
    for number, trial in enumerate(opened["trials"]):
        folder = run / "trials" / trial["id"]
        rungs = {}
        for file in sorted(folder.glob("rung-*.json")):
            metrics = json.loads(file.read_text())
            table = canonical(folder / "scores" / f"{file.stem}.parquet")
            scores[f"{number}/{metrics['budget']}"] = table["score"].to_numpy()[::STEP]
            rungs[str(metrics["budget"])] = {
                "metrics": {key: value for key, value in metrics.items() if is_pinned(key)},
                "rows": len(table),
                "keys_sha256": digest("\n".join(map(str, table[KEYS].itertuples(index=False, name=None))).encode()),
                "scores_sha256": digest(table["score"].to_numpy("<f4").tobytes()),
            }
        weights = {
            str(file.parent.relative_to(folder / "units")): tensors_of(file)
            for file in sorted((folder / "units").rglob("manifest.json"))
        }
        trials.append({"point": trial["point"], "rungs": rungs, "weights_sha256": weights})
    report = json.loads((run / "report" / "report.json").read_text())
    pins = {
        "launch": LAUNCHES[run.name],
        "trials": trials,
        "stages": stages_of(run),
        "winner": report["selection"]["params"],
        "table": {row["name"]: row["values"] | {"mean": row["mean"]} for row in report["table"]["rows"]},
        "analyses": {
            name: {target: each["numbers"] for target, each in by_target.items()}
            for name, by_target in report["analyses"].items()
        },
    }
    return pins, scores


def is_pinned(name: str) -> bool:
    """Whether an entry of a rung's file is one of the pinned numbers."""
    return name not in NO_NUMBERS and not name.startswith(BESIDE)


def canonical(file: Path) -> pd.DataFrame:
    """A score table in an order that is its own, whoever wrote which rows first."""
    table = pq.read_table(file).to_pandas().astype({key: str for key in KEYS if key != "anomalous"})
    return table.sort_values(KEYS[:4], kind="stable", ignore_index=True)


def stages_of(run: Path) -> dict[str, Any]:
    """Unit -> its logged losses and a hash of its artefact, of every stage in the run's storage."""
    units = {}
    for file in sorted(run.parent.glob("stages/*/history.json")):
        history = json.loads(file.read_text())
        units[history["unit"]] = {
            "steps": history["steps"],
            "history": history["history"],
            "weights_sha256": tensors_of(file.with_name("manifest.json")),
        }
    return dict(sorted(units.items()))


def tensors_of(manifest: Path) -> str:
    """The hash of a state's tensors, as its manifest has it."""
    return json.loads(manifest.read_text())["sha256"]["tensors.safetensors"]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    PINS.mkdir(exist_ok=True)
    for name in sys.argv[1:] or LAUNCHES:
        with tempfile.TemporaryDirectory() as storage:
            pins, scores = read_pins(launch(name, Path(storage)))
        (PINS / f"{name}.json").write_text(json.dumps(pins, indent=1) + "\n")
        np.savez_compressed(PINS / f"{name}.npz", **scores)
        print(f"{name}: {len(pins['trials'])} trials, {sum(map(len, scores.values()))} scores kept")


if __name__ == "__main__":
    main()
