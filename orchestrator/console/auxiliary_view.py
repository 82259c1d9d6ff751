"""A prepared auxiliary set in lines."""

from collections.abc import Mapping
from typing import Any

from orchestrator.console.output import console, say
from orchestrator.data.auxiliary.manifest import Manifest
from orchestrator.data.auxiliary.sources.base import TEST


def headline(manifest: Manifest) -> str:
    """How many images of what shape, and how much room they take."""
    splits = ", ".join(f"{sum(s.rows for s in manifest.of_split(name)):,} {name}" for name in manifest.splits)
    layout = manifest.layout
    size = f"{manifest.count('bytes') / 1e9:.2f} GB in {len(manifest.shards)} shards"
    return f"{splits} images, {layout.channels}x{layout.side}x{layout.side}, {size}"


def summary(manifest: Manifest) -> list[str]:
    """Where it is, what is in it, and what was left out."""
    left_out = {what: manifest.count(what) for what in ("bad", "exact_duplicates", "near_duplicates")}
    blank = manifest.count("blank")
    lines = [f"set    {manifest.path}", f"       {headline(manifest)}"]
    if lists := manifest.plan["source"].get("duplicates"):
        lines.append(f"       {lists['left_out']} left out by {lists['listed']:,} listed duplicates")
    lines += [f"       {count:,} {what.replace('_', ' ')} left out" for what, count in left_out.items() if count]
    if blank:
        lines.append(f"       {blank:,} are black all over, and kept: many say that the source was not copied whole")
    if broken := manifest.count("broken"):
        lines.append(f"       {broken:,} source file(s) break off: what lay behind is lost")
    if TEST not in manifest.splits:
        lines.append("       none are held out: `launch` needs some, see --hold-out")
    if manifest.count("bad"):
        lines.append(f"       the bad ones are named in {manifest.path}/quarantine")
    return lines


def print_statistics(facts: Mapping[str, Any]) -> None:
    """A line a fact."""
    for what, value in facts.items():
        text = f"{what.replace('_', ' '):18} {value:,}" if isinstance(value, int) else f"{what:18} {value}"
        say(console(), text)
