"""A file for `ray up`: Ray's own schema, and what that schema lets through.

The schema accepts a head type that does not exist, anything below `provider`, minima above maxima, and types that no
autoscaler could start; it says nothing of images, storage or authentication.
"""

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from orchestrator.clusters.files.documents import at, items, key, schema_problems
from orchestrator.clusters.files.images import image_problem, login_of
from orchestrator.planning.machines import known_machines
from workloads.errors import Problem, nearest

PROVIDERS = {  # type -> what it must have, what it may have, as Ray's providers read them
    "local": (("head_ip", "worker_ips"), ("use_internal_ips", "coordinator_address")),
    "aws": (("region",), ("availability_zone", "cache_stopped_nodes", "use_internal_ips", "security_group")),
    "gcp": (("region", "availability_zone", "project_id"), ("use_internal_ips", "gcp_credentials")),
}
MACHINE_KEYS = {"aws": "InstanceType", "gcp": "machineType"}
STORAGE_SCHEMES = {"aws": "s3://", "gcp": "gs://"}
IDENTITIES = {"aws": "IamInstanceProfile", "gcp": "serviceAccounts"}


def ray_schema() -> dict[str, Any]:
    """The schema in the installed Ray's wheel, found without importing Ray."""
    spec = find_spec("ray")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("ray is not installed")
    schema: dict[str, Any] = json.loads((Path(spec.origin).parent / "autoscaler" / "ray-schema.json").read_text())
    return schema


def ray_problems(document: dict[str, Any], ray_version: str) -> list[Problem]:
    """All that is wrong with a `ray up` file."""
    from jsonschema import Draft7Validator

    kind = str(at(document, "provider", "type"))
    checks = (provider_problems, type_problems, worker_problems, gpu_problems, storage_problems, auth_problems)
    problems = list(schema_problems(Draft7Validator(ray_schema()), document))
    problems += [problem for check in (*checks, login_problems, metadata_problems) for problem in check(document, kind)]
    for where in ("image", "head_image", "worker_image"):
        image = at(document, "docker", where)
        if isinstance(image, str) and (message := image_problem(image, ray_version)):
            problems.append(Problem(f"docker.{where}", message))
    if kind in ("aws", "gcp") and not at(document, "docker", "image"):
        problems.append(Problem("docker.image", "is missing: nodes that the cloud starts would have no code to run"))
    return problems


def provider_problems(document: dict[str, Any], kind: str) -> Iterator[Problem]:
    """What Ray reads only when it is too late: after the first machine has started."""
    provider = at(document, "provider")
    if not isinstance(provider, dict) or "type" not in provider:
        return
    if kind not in PROVIDERS:
        yield Problem("provider.type", f"found {kind!r}; {nearest(kind, PROVIDERS)}")
        return
    needed, more = PROVIDERS[kind]
    for name in needed:
        if provider.get(name) is None and not (kind == "local" and "coordinator_address" in provider):
            yield Problem(f"provider.{name}", f"is missing, and {kind} needs it")
    for name in provider.keys() - {"type", *needed, *more}:
        yield Problem(f"provider.{name}", f"no such key of {kind}; {nearest(name, (*needed, *more))}")
    ips = provider.get("worker_ips")
    if kind == "local" and isinstance(ips, list):
        if len(set(map(str, ips))) < len(ips):
            yield Problem("provider.worker_ips", "names a machine twice")
        if provider.get("head_ip") in ips:
            yield Problem("provider.worker_ips", "the head's own address is among the workers")


def type_problems(document: dict[str, Any], kind: str) -> Iterator[Problem]:
    """Head and node types that exist. Machines of one's own have none: Ray refuses them there."""
    types, head = at(document, "available_node_types"), at(document, "head_node_type")
    if kind == "local":
        for name in ("available_node_types", "head_node_type"):
            if document.get(name):
                yield Problem(name, "Ray refuses it for machines of one's own; provider.worker_ips names them")
        return
    if not isinstance(types, dict) or not types:
        yield Problem("available_node_types", "is missing: there is nothing to start")
        return
    if head is None:
        yield Problem("head_node_type", f"is missing; {nearest('head', types)}")
    elif head not in types:
        yield Problem("head_node_type", f"{head!r} is no node type; {nearest(str(head), types)}")
    elif len(types) == 1:
        yield Problem("available_node_types", "has the head alone, and no worker")


def worker_problems(document: dict[str, Any], kind: str) -> Iterator[Problem]:
    """Minima, maxima and their sums."""
    total, least = document.get("max_workers"), 0
    for where, node in items(document, "available_node_types"):
        low, high = at(node, "min_workers") or 0, at(node, "max_workers")
        if not isinstance(low, int) or not isinstance(high, int | None):
            continue  # the schema has said so
        if low < 0:
            yield Problem(f"{where}.min_workers", f"found {low}, a number of machines")
        if high is not None and low > high:
            yield Problem(f"{where}.min_workers", f"{low} is above max_workers, {high}")
        if high is not None and isinstance(total, int) and high > total:
            yield Problem(f"{where}.max_workers", f"{high} can never be reached: max_workers of the cluster is {total}")
        least += low
    if isinstance(total, int) and least > total:
        yield Problem("max_workers", f"{total} is below the sum of all min_workers, {least}")
    ips = at(document, "provider", "worker_ips")
    if kind == "local" and isinstance(ips, list) and isinstance(total, int) and total > len(ips):
        yield Problem("max_workers", f"{total} is more than the {len(ips)} machines in provider.worker_ips")


def gpu_problems(document: dict[str, Any], kind: str) -> Iterator[Problem]:
    """GPUs as the machine has them, none on the head, and at least one worker that has some or none at all."""
    head, machines = at(document, "head_node_type"), known_machines(kind) if kind in MACHINE_KEYS else {}
    for where, node in items(document, "available_node_types"):
        claimed = at(node, "resources", "GPU") or 0
        if where == key("available_node_types", str(head)) and claimed:
            yield Problem(f"{where}.resources.GPU", f"the head claims {claimed} GPUs: it would pay for them while idle")
        named = at(node, "node_config", MACHINE_KEYS.get(kind, ""))
        if kind in MACHINE_KEYS and named is None:
            yield Problem(f"{where}.node_config.{MACHINE_KEYS[kind]}", "is missing: which machine is it?")
        machine = machines.get(named) if isinstance(named, str) else None
        if machine and isinstance(claimed, int) and claimed != machine.gpus:
            yield Problem(f"{where}.resources.GPU", f"found {claimed}, and a {named} has {machine.gpus}")
        cpus = at(node, "resources", "CPU")
        if machine and isinstance(cpus, int) and cpus > machine.cpus:
            yield Problem(f"{where}.resources.CPU", f"found {cpus}, and a {named} has {machine.cpus}")


def storage_problems(document: dict[str, Any], kind: str) -> Iterator[Problem]:
    """The runs' storage, named in `metadata`, must be the same place seen from every node, with the right to write."""
    storage = at(document, "metadata", "storage")
    if not isinstance(storage, str) or not storage:
        yield Problem("metadata.storage", "is missing: where do all nodes read and write the runs?")
        return
    if "://" not in storage:
        if not storage.startswith("/"):
            yield Problem("metadata.storage", f"found {storage!r}: a relative path is another place on every node")
        elif not alone(document, kind) and not mounted(document, storage):
            message = f"no --volume brings {storage} (metadata.storage) into every node's container"
            yield Problem("docker.run_options", message)
        return
    scheme = STORAGE_SCHEMES.get(kind)
    if scheme and storage.startswith(scheme):
        for where, node in items(document, "available_node_types"):
            if not at(node, "node_config", IDENTITIES[kind]):
                yield Problem(f"{where}.node_config.{IDENTITIES[kind]}", f"is missing: it could not reach {storage}")
    elif scheme:
        yield Problem("metadata.storage", f"found {storage!r}: nodes of {kind} have no right to it; use {scheme}...")


def alone(document: dict[str, Any], kind: str) -> bool:
    """One machine and no container: any absolute path is the same for all."""
    return kind == "local" and not at(document, "provider", "worker_ips") and not at(document, "docker", "image")


def mounted(document: dict[str, Any], path: str) -> bool:
    """Whether an option that all containers share mounts `path` or a folder above it, at the same path."""
    options = [str(option) for _, option in items(document, "docker", "run_options")]
    volumes = [m for option in options for m in re.findall(r"(?:-v|--volume)[= ]([^:\s]+):([^:\s]+)", option)]
    return any(inside == outside and f"{path}/".startswith(f"{inside}/") for outside, inside in volumes)


def auth_problems(document: dict[str, Any], kind: str) -> Iterator[Problem]:
    """Whoever reaches an open Ray runs code on it: the token mode wherever Ray is started, the token on every node."""
    commands = ("head_start_ray_commands", "worker_start_ray_commands")
    starts = [(where, str(c)) for part in commands for where, c in items(document, part) if "ray start" in str(c)]
    starts += [(part, "") for part in commands if at(document, part) is None]  # Ray's own, which say nothing of it
    if at(document, "docker", "image"):
        shared = " ".join(str(option) for _, option in items(document, "docker", "run_options"))
        yield from mode_problems("docker.run_options", shared)
        for part in ("head_run_options", "worker_run_options"):
            starts += [(where, str(option)) for where, option in items(document, "docker", part)]
        starts = [(where, text) for where, text in starts if "RAY_AUTH_MODE" in text]  # these may say otherwise
    for where, text in starts:
        yield from mode_problems(where, text)
    if not alone(document, kind) and not any("auth_token" in where for where, _ in items(document, "file_mounts")):
        yield Problem("file_mounts", "does not bring the token (~/.ray/auth_token) to the nodes")


def login_problems(document: dict[str, Any], kind: str) -> Iterator[Problem]:
    """A cloud's own registry lets nobody pull without a login, and its machines come without one."""
    image = str(at(document, "docker", "image"))
    commands = " ".join(str(command) for _, command in items(document, "initialization_commands"))
    if (login := login_of(image, kind)) and image.partition("/")[0] not in commands:
        yield Problem("initialization_commands", f"no login to where docker.image is; add: {login}")


def metadata_problems(document: dict[str, Any], kind: str) -> Iterator[Problem]:
    """AWS hands a machine's credentials to any request from it, unless it is to bring a token; Google's asks for a
    header always."""
    for where, node in items(document, "available_node_types") if kind == "aws" else ():
        if at(node, "node_config", "MetadataOptions", "HttpTokens") != "required":
            message = "is not required: a request that is smuggled in gets the machine's credentials"
            yield Problem(f"{where}.node_config.MetadataOptions.HttpTokens", message)


def mode_problems(where: str, text: str) -> Iterator[Problem]:
    """What a command or the options of a container say of RAY_AUTH_MODE; it must be token."""
    modes = {mode.lower() for mode in re.findall(r"RAY_AUTH_MODE=[\"']?(\w+)", text)}
    if other := ", ".join(sorted(modes - {"token"})):
        yield Problem(where, f"RAY_AUTH_MODE is {other}: whoever reaches the cluster runs code on it")
    elif not modes:
        yield Problem(where, "RAY_AUTH_MODE=token is missing: whoever reaches the cluster runs code on it")
