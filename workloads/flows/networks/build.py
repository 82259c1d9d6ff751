"""From an architecture to its network."""

from workloads.errors import UserError
from workloads.flows.architecture import Architecture, problems
from workloads.flows.networks.conditional import ConditionalFlow
from workloads.flows.networks.dense_flow import dense_flow
from workloads.flows.networks.flow import Flow
from workloads.flows.networks.glow import glow
from workloads.flows.networks.patch_flow import patch_flow

BODIES = {"glow": glow, "patch": patch_flow, "dense": dense_flow}


def build(architecture: Architecture) -> Flow:
    """A network with fresh weights from torch's global generator (and default dtype), its actnorms uninitialised.

    Raises UserError, naming the key, where no such network exists.
    """
    for key, message in problems(architecture):
        raise UserError(f"{key} {message}", where=f"architecture, key {key!r}")
    body = BODIES[architecture.kind](architecture)
    return ConditionalFlow(body, architecture.classes) if architecture.classes else Flow(body)
