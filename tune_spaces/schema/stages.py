"""Which axes of a space decide what its trials share."""

from typing import TYPE_CHECKING

from workloads.keys import keys_of
from workloads.registry import method

if TYPE_CHECKING:
    from tune_spaces.schema.models import Space


def keys_of_stages(space: "Space") -> list[str]:
    """Axes that decide which stages trials share, or what these are."""
    stages: dict[str, set[str]] = {}
    for key in space.axes:
        instances = map(space.method, space.along(key))
        stages[key] = {repr([(str(unit), i.stage_config(unit)) for unit in i.stages(("?",))]) for i in instances}
    shared = set().union(*stages.values()) - {"[]"}
    marked = keys_of(method(space.workload).Config, "stage") if shared else ()
    return [key for key in space.axes if len(stages[key]) > 1 or key in marked]
