"""Decisions on images, as a table and lines."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from orchestrator.console.output import counted, print_json, say, warn

if TYPE_CHECKING:  # what predicts imports torch
    from orchestrator.inference.predict import Predicted
    from workloads.scoring.thresholds import Threshold


def print_predicted(out: Console, predicted: "Predicted", *, as_json: bool = False) -> None:
    """The most anomalous images, what decided, what was not used, a shift, the speed, and the file that has all."""
    if as_json:
        print_json({"predicted": predicted})
        return
    shown = Table("most anomalous first", "decision", "score", "p-value", box=None, header_style="bold")
    for row in predicted.highest:
        shown.add_row(row["image"], row["decision"], f"{row['score']:.4f}", f"{row['p_value']:.4f}")
    out.print(shown)
    say(out, threshold_line(predicted.threshold))
    for item in predicted.account.left_out:
        say(out, f"not used: {item}")
    for remark in [*(predicted.shift.remarks if predicted.shift else ()), *predicted.remarks]:
        warn(out, remark)
    median, slowest = predicted.latency
    alone = f"{median * 1000:.0f} ms (median), {slowest * 1000:.0f} ms (99 %)"
    say(out, f"{predicted.images_per_second:,.1f} images/s together; an image alone, from reading to score: {alone}")
    counts = predicted.counts
    decisions = f"{counts['normal']} normal, {counts['anomalous']} anomalous, {counts['unreadable']} unreadable"
    say(out, f"{counted(sum(counts.values()), 'image')}: {decisions}; all in {predicted.out}")


def threshold_line(threshold: "Threshold") -> str:
    """What decided, what it rests on, and which false-alarm rates that leaves open."""
    rate = "" if threshold.false_alarms is None else f"for a false-alarm rate of {threshold.false_alarms:g} "
    decided = f"anomalous above {threshold.value:.4f}, {rate}on {threshold.count} {threshold.rests_on}"
    rates = f"{threshold.low:.2%} to {threshold.high:.2%} will be (95 % interval), {threshold.expected:.2%} on average"
    return f"{decided}: of fresh normal images {rates}"
