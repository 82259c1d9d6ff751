"""`python -m tests.chaos [--cases N] [--seed S] [--only FAULT] [--results FILE]`: the table of faults x moments.

With a file of results, a case whose result is there is not done again: a table of a thousand is made in several goes.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from tests.chaos.cases import Stage, Verdict
from tests.chaos.families import FAMILIES, run_case
from tests.chaos.world import warm


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="a fault")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--results", type=Path, help="a file of results, a line a case, which is gone on with")
    options = parser.parse_args()
    names = [options.only] if options.only else list(FAMILIES)
    wanted = [(names[number % len(names)], number // len(names)) for number in range(options.cases)]
    verdicts, begun = results(options.results, options.seed), time.monotonic()
    missing = [case for case in wanted if case not in verdicts]
    if missing:
        warm()
        with tempfile.TemporaryDirectory(prefix="chaos-") as folder, suppress(KeyboardInterrupt):  # the table so far
            stage = Stage.made(options.folder or Path(folder))
            for fault, number in missing:
                verdicts[fault, number] = run_case(stage, fault, number, options.seed)
                tell(verdicts[fault, number], number, options.results)
    shown = [verdicts[case] for case in wanted if case in verdicts]
    sys.stdout.write(table(shown))
    print(f"{len(shown)} cases, {len(missing)} of them now in {time.monotonic() - begun:.0f} s")
    return any(verdict.wrong for verdict in shown)


def results(file: Path | None, seed: int) -> dict[tuple[str, int], Verdict]:
    """Verdicts of a file, by fault and number."""
    lines = file.read_text().splitlines() if file and file.exists() else []
    read = [json.loads(line) for line in lines]
    return {(line.pop("case"), line.pop("number")): Verdict(**line) for line in read if line["seed"] == seed}


def tell(verdict: Verdict, number: int, file: Path | None) -> None:
    """Keep a verdict, and print what it does not hold."""
    if file:
        with file.open("a") as opened:
            opened.write(json.dumps({"case": verdict.fault, "number": number, **asdict(verdict)}) + "\n")
    if verdict.wrong:
        print(f"NOT HELD {verdict.fault} at {verdict.moment} (number {number}):")
        for text in verdict.wrong[:6]:
            print("   ", text[:1200].replace("\n", "\n        "))
        sys.stdout.flush()


def table(verdicts: list[Verdict]) -> str:
    """In Markdown: a row a fault and moment, and one of all."""
    cells = defaultdict(list)
    for verdict in verdicts:
        cells[verdict.fault, verdict.moment].append(verdict)
    rows = [(fault, moment, cells[fault, moment]) for fault, moment in sorted(cells)]
    lines = ["| fault | moment | times | steps redone, mean | most | held |", "|---|---|---:|---:|---:|---:|"]
    for fault, moment, group in [*rows, ("all", f"{len(rows)} cells", verdicts)]:
        again = [verdict.redone for verdict in group]
        held = sum(not verdict.wrong for verdict in group)
        mean = sum(again) / max(1, len(again))
        lines.append(f"| {fault} | {moment} | {len(group)} | {mean:.1f} | {max(again, default=0)} | {held} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
