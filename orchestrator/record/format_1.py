"""Lines of the first format (`<run>/ledger.jsonl`, without `v`) in today's words, so that older runs are still read."""

from typing import Any

from orchestrator.record.events import RungMetrics

SHARES = {"data": "batches"}
SCHEDULES = {"own": "custom"}


def upgrade(line: dict[str, Any]) -> dict[str, Any]:
    """The same event as `events.from_plain` takes it."""
    values = dict(line)
    match values["event"]:
        case "opened":
            return upgrade_opened(values)
        case "stage":
            rename(values, "found", "reused")
        case "rung":
            rename(values, "budget", "rung")
            values["metrics"] = RungMetrics.parse(values["metrics"])
    return values


def upgrade_opened(values: dict[str, Any]) -> dict[str, Any]:
    rename(values, "planned_seconds", "costs")
    values["schedule"] = SCHEDULES.get(values["schedule"], values["schedule"])
    values["space"] = upgrade_space(values["space"])
    stored = values["shape"]
    values["shape"] = {"channels": stored["channels"], "height": stored["side"], "width": stored["side"]}
    flat = values["provenance"]
    versions = {key.removeprefix("version."): text for key, text in flat.items() if key.startswith("version.")}
    values["provenance"] = {key: text for key, text in flat.items() if not key.startswith("version.")}
    values["provenance"]["versions"] = versions
    return values


def upgrade_space(space: dict[str, Any]) -> dict[str, Any]:
    """A stored space with the keys of today."""
    data, resources = dict(space["data"]), dict(space["resources"])
    presets = {name: dict(preset) for name, preset in space["presets"].items()}
    rename(data, "general", "auxiliary")
    rename(resources, "split", "share")
    resources["share"] = SHARES.get(resources["share"], resources["share"])
    for preset in presets.values():
        rename(preset, "max_general_images", "max_auxiliary_images")
    return space | {"data": data, "resources": resources, "presets": presets}


def rename(values: dict[str, Any], old: str, new: str) -> None:
    if old in values:
        values[new] = values.pop(old)
