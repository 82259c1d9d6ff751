"""Plans of built-in spaces, of which nothing is carried out."""

from orchestrator.planning.options import Options, load_space
from orchestrator.planning.plan import plan_of
from orchestrator.planning.request import Request


def planned(name, cpus=8, rates=None, **options):
    """The plan of a space on a machine of `cpus` cores, at its own preset unless the options say otherwise."""
    loaded, space, preset = load_space(name, Options(**options))
    return plan_of(Request(loaded, space, preset, preset, "runs", "data", None, None, cpus, rates=rates))
