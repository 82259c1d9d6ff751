"""`python -m tests.chaos [--cases N] [--seed S] [--only FAULT]`: faults x times x moments x redone work x held."""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
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
    options = parser.parse_args()
    warm()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        stage = Stage.made(options.folder or Path(folder))
        verdicts, begun = list[Verdict](), time.monotonic()
        names = [options.only] if options.only else list(FAMILIES)
        with suppress(KeyboardInterrupt):  # the table so far
            for number in range(options.cases):
                verdict = run_case(stage, names[number % len(names)], number // len(names), options.seed)
                verdicts.append(verdict)
                if verdict.wrong:
                    print(f"NOT HELD {verdict.fault} at {verdict.moment} (number {number // len(names)}):")
                    for text in verdict.wrong[:6]:
                        print("   ", text[:1200].replace("\n", "\n        "))
                    sys.stdout.flush()
        print(table(verdicts))
        print(f"{len(verdicts)} cases in {time.monotonic() - begun:.0f} s")
    return any(verdict.wrong for verdict in verdicts)


def table(verdicts: list[Verdict]) -> str:
    by_fault = defaultdict(list)
    for verdict in verdicts:
        by_fault[verdict.fault].append(verdict)
    lines = [f"{'fault':36} {'times':>6} {'moments':>8} {'steps redone, mean':>19} {'most':>5} {'held':>6}"]
    for fault, group in by_fault.items():
        again = [verdict.redone for verdict in group]
        held = sum(not verdict.wrong for verdict in group)
        moments = len({verdict.moment for verdict in group})
        lines.append(f"{fault:36} {len(group):6} {moments:8} {sum(again) / len(again):19.1f} {max(again):5} {held:6}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
