"""Before any task: whether every node has the method of the run."""

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from workloads.errors import Kind, UserError
from workloads.registry import WORKLOADS, method

RETRIES = 3
"""Of the question to a node, where the process that was to answer is lost or does not start in time."""


def problem_of(workload: str) -> str:
    """Inside a process of a node: why the method is not there; empty where it is."""
    try:
        method(workload)
    except UserError as error:
        return f"{error.headline} ({error.where})" if error.where else error.headline
    return ""


def check_nodes(workload: str) -> None:
    """Raises UserError (exit 3), with the nodes' addresses, where one cannot load a method from outside the tree."""
    if workload in WORKLOADS:
        return
    alive = [node for node in ray.nodes() if node["Alive"]]
    remote = ray.remote(num_cpus=0, max_retries=RETRIES)(problem_of)
    places = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in alive]
    answers = [remote.options(scheduling_strategy=place).remote(workload) for place in places]
    failed = []
    for node, answer in zip(alive, answers, strict=True):
        try:
            problem = ray.get(answer)
        except ray.exceptions.RayError as error:
            problem = str(error).strip().splitlines()[-1]
        if problem:
            failed.append(f"  {node['NodeManagerAddress']}: {problem}")
    if failed:
        raise UserError(
            f"{len(failed)} of {len(alive)} nodes cannot load the method {workload}",
            details="\n".join(failed),
            fix="install what it imports on every node, or leave such imports out",
            kind=Kind.ENVIRONMENT,
        )
