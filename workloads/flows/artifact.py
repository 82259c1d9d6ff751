"""A trained flow as data that says itself what network it belongs to."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import torch

from workloads.errors import UserError
from workloads.flows.architecture import Architecture
from workloads.flows.networks.build import build
from workloads.flows.networks.flow import Flow
from workloads.learner import State

NO_SHAPE = ("checkpointing", "autocast", "classes")
"""Fields in which flows may differ and still share a body: how it is computed, and heads that come on top."""


def packed(flow: Flow, architecture: Architecture) -> State:
    """{"architecture": its fields, "net": its weights}."""
    return {"architecture": asdict(architecture), "net": flow.state_dict()}


def unpacked(artifact: Mapping[str, Any], device: torch.device) -> Flow:
    """The flow of an artifact, frozen, in evaluation mode."""
    flow = build(Architecture(**artifact["architecture"]))
    flow.load_state_dict(artifact["net"])
    return flow.to(device).eval().requires_grad_(False)


def require_same_body(artifact: Mapping[str, Any], architecture: Architecture, what: str) -> None:
    """Raises UserError, before any weight is read, where a flow's body is another one than `architecture`'s."""
    stored, expected = artifact["architecture"], asdict(architecture)
    names = [field.name for field in fields(Architecture) if field.name not in NO_SHAPE]
    other = [name for name in names if stored[name] != expected[name]]
    if other:
        has, needed = (", ".join(f"{name} {values[name]}" for name in other) for values in (stored, expected))
        raise UserError(
            f"{what} is another network: it has {has}, asked is {needed}",
            where=", ".join(other),
            fix="give both the same values of these keys, or train the general flow anew",
        )
