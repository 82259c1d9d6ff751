"""A prepared auxiliary set in lines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from orchestrator.console.output import console, print_json, say
from orchestrator.data.auxiliary.manifest import Manifest
from orchestrator.data.auxiliary.sources.base import TEST
from orchestrator.data.auxiliary.verification import Verified
from orchestrator.planning.request import absolute
from workloads.errors import UserError


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


def set_facts(item: Manifest | UserError) -> dict[str, Any]:
    """A set for programs, or what is wrong with it."""
    if isinstance(item, UserError):
        return {"error": item.headline, "path": item.where}
    counts = {what: item.count(what) for what in ("bytes", "bad", "exact_duplicates", "near_duplicates", "blank")}
    rows = {name: sum(shard.rows for shard in item.of_split(name)) for name in item.splits}
    return {"path": item.path, "images": rows, "shards": len(item.shards), **counts, "plan": item.plan}


def print_sets(sets: Mapping[str, Manifest | UserError], root: str) -> None:
    """A line a set below `root`, or what is wrong with it."""
    out = console()
    for path, item in sets.items():
        say(out, f"{path}  {item.headline if isinstance(item, UserError) else headline(item)}")
    if not sets:
        say(out, f"no prepared sets in {absolute(root)}")


def print_set(manifest: Manifest, sheet: Path | None = None, *, as_json: bool = False) -> None:
    """A set, what it was made of, and where a contact sheet of it was written."""
    if as_json:
        print_json({**set_facts(manifest), "sheet": sheet})
        return
    out, made_of = console(), yaml.safe_dump(dict(manifest.plan), sort_keys=False, allow_unicode=True)
    for line in [*summary(manifest), *made_of.splitlines()]:
        say(out, line)
    if sheet is not None:
        say(out, f"sheet  {sheet}")


def print_damages(out: Console, verified: Verified) -> None:
    """A line a shard that differs from its record, and how much was read."""
    for damage in verified.damages:
        say(out, f"{damage.shard}: {damage.what}")
    manifest = verified.manifest
    size = f"{len(manifest.shards)} shards, {manifest.count('bytes') / 1e9:.2f} GB"
    say(out, f"{size}: {len(verified.damages)} problems")


def print_statistics(facts: Mapping[str, Any]) -> None:
    """A line a fact."""
    for what, value in facts.items():
        text = f"{what.replace('_', ' '):18} {value:,}" if isinstance(value, int) else f"{what:18} {value}"
        say(console(), text)
