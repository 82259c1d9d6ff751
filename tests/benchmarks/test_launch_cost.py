"""What a launch costs over the same work without the orchestrator: rows measured in turn on this machine, as ratios.

    python -m pytest tests/benchmarks/test_launch_cost.py -m benchmark

The environment sets the size: TRIALS (4), SIDE (16), ROUNDS (2), WAYS (of `ways`, beside the launch itself). With
BASELINE_CHECKOUT=/path/to/older/checkout, one that has this file, the launch of that commit is a row, too. Compare
CPU-seconds first: they vary least. The machine should be otherwise idle.
"""

import json
import os
import sys
from dataclasses import astuple
from pathlib import Path
from statistics import median

import pytest

from tests.benchmarks.bare import WAYS as BARE
from tests.benchmarks.measured import Cost, measure

pytestmark = pytest.mark.benchmark

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
ROUNDS = int(os.environ.get("ROUNDS", "2"))
TRIALS = os.environ.get("TRIALS", "4")
WAYS = os.environ.get("WAYS", "local executor serial pool tune tune_naive relay").split()
OLDER = os.environ.get("BASELINE_CHECKOUT")


def launched(checkout: Path, folder: Path, *more: str) -> Cost:
    """A launch by the code of a checkout into a storage of its own, `folder`/runs/launch. more: options of `launch`."""
    space = checkout / "tests" / "benchmarks" / "scale_space.py"
    words = ["launch", str(space), "--name", "launch", "--cpus", "2", "--plain", "--storage", str(folder / "runs")]
    command = [sys.executable, "-m", "orchestrator", *words, "--data-dir", str(folder), *more]
    stages = folder / "runs" / "stages"
    return measure(command, folder / "log", {"PYTHONPATH": str(checkout)}, checkout, lambda: any(stages.glob("*.lock")))


def bare(way: str, work: Path, folder: Path) -> Cost:
    command = [sys.executable, str(HERE / "bare.py"), str(work), str(folder / "areas.json"), way]
    return measure(command, folder / "log", {"PYTHONPATH": str(ROOT)}, ROOT)


def executor_alone(folder: Path) -> Cost:
    """The launch's tasks under the local executor, and nothing beside them."""
    space = HERE / "scale_space.py"
    command = [sys.executable, str(HERE / "executor_alone.py"), str(space), str(folder)]
    return measure(command, folder / "log", {"PYTHONPATH": str(ROOT)}, ROOT)


def areas_of(run: Path) -> list[dict[str, float]]:
    """AUROC by target of every trial of a launch, in the plan's order."""
    opened = json.loads((run / "ledger" / "000001.jsonl").read_text().splitlines()[0])
    rungs = [json.loads((run / "trials" / t["id"] / "rung-1000.json").read_text()) for t in opened["trials"]]
    return [{target: rung[f"auroc/{target}"] for target in opened["targets"]} for rung in rungs]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """The work as plain data."""
    folder = tmp_path_factory.mktemp("work")
    command = [sys.executable, str(HERE / "work_of.py"), str(folder / "work.json"), str(HERE / "scale_space.py")]
    done = measure(command, folder / "log", {"PYTHONPATH": str(ROOT)}, ROOT)
    assert done.code == 0, (folder / "log").read_text()
    return folder / "work.json"


def test_print_what_a_launch_costs_over_bare_loops(work, tmp_path, capsys):
    ways = {
        "local": lambda folder: launched(ROOT, folder, "--executor", "local"),
        "executor": executor_alone,
        **{way: lambda folder, way=way: bare(way, work, folder) for way in BARE},
    }
    rows = {"launch": lambda folder: launched(ROOT, folder)} | {way: ways[way] for way in WAYS}
    if OLDER:
        rows["older launch"] = lambda folder: launched(Path(OLDER), folder)
    costs: dict[str, list[Cost]] = {name: [] for name in rows}
    areas = {}
    for number in range(ROUNDS):
        for name, run in rows.items():
            folder = tmp_path / f"{name}-{number}"
            folder.mkdir()
            costs[name].append(run(folder))
            assert costs[name][-1].code == 0, (folder / "log").read_text()
            found = folder / "areas.json"
            areas[name] = json.loads(found.read_text()) if found.exists() else areas_of(folder / "runs" / "launch")
    medians = {name: Cost(*map(median, zip(*map(astuple, some), strict=True))) for name, some in costs.items()}
    with capsys.disabled():
        print("\n" + "\n".join(lines(medians)))
    for name in WAYS:  # no row is quicker for doing less
        assert areas[name] == [pytest.approx(each, abs=1e-6) for each in areas["launch"]], name


def lines(medians: dict[str, Cost]) -> list[str]:
    """The table, and what a launch takes of each as a ratio."""
    ours = medians["launch"]
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {TRIALS} trials, medians of {ROUNDS}"
    head = "row,wall s,CPU s,processes,with torch,MiB,first step s,launch / row: wall,CPU"
    table = [
        f"{name},{c.wall:.1f},{c.cpu:.1f},{c.processes:.0f},{c.torch:.0f},{c.memory:.0f},{c.begun:.1f},"
        f"{ours.wall / c.wall:.2f},{ours.cpu / c.cpu:.2f}"
        for name, c in medians.items()
    ]
    columns = ("| " + line.replace(",", " | ") + " |" for line in (head, "---" + ",---:" * 8, *table))
    return [machine, *columns]
