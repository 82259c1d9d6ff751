"""What makes a RayCluster or RayJob work, beyond its shape: groups, GPUs, versions, storage, token, the head."""

from collections.abc import Iterator, Sequence
from typing import Any

from orchestrator.clusters.files.documents import at, items, key
from orchestrator.clusters.files.images import image_problem
from orchestrator.clusters.files.kubernetes import template_problems
from orchestrator.clusters.files.pods import gpus_of, mounts_of, pod_problems
from workloads.errors import Problem

STORAGE = "anomaly-orchestrator/storage"
"""The annotation that names where the runs are kept, so that it can be looked for in every pod."""


def cluster_problems(document: dict[str, Any], others: Sequence[dict[str, Any]], ray_version: str) -> Iterator[Problem]:
    """All that is wrong with a RayCluster or RayJob of the right shape. `others` stand in the same file."""
    base = ("spec", "rayClusterSpec") if document["kind"] == "RayJob" else ("spec",)
    spec, where = at(document, *base), key(*base)
    templates = [(key(where, "headGroupSpec.template"), at(spec, "headGroupSpec", "template"))]
    templates += [(f"{key(where, place)}.template", at(g, "template")) for place, g in items(spec, "workerGroupSpecs")]
    for place, template in templates:
        if isinstance(template, dict):
            yield from template_problems(template, place)
            yield from pod_problems(template, place)
            image = at(template, "spec", "containers", 0, "image")
            if isinstance(image, str) and (message := image_problem(image, ray_version)):
                yield Problem(f"{place}.spec.containers[0].image", message)
    if isinstance(version := at(spec, "rayVersion"), str) and version != ray_version:
        yield Problem(key(where, "rayVersion"), f"found {version}, and Ray {ray_version} is installed here")
    yield from group_problems(spec, where)
    yield from head_problems(spec, where)
    yield from storage_problems(document, templates, others)
    if document["kind"] == "RayJob":
        yield from job_problems(document)


def group_problems(spec: Any, where: str) -> Iterator[Problem]:
    """Replicas in order, names once, GPUs as the pod has them."""
    names = [at(group, "groupName") for _, group in items(spec, "workerGroupSpecs")]
    for place, group in items(spec, "workerGroupSpecs"):
        inside = key(where, place)
        low, count, high = (at(group, name) for name in ("minReplicas", "replicas", "maxReplicas"))
        if isinstance(low, int) and isinstance(high, int):
            if low > high:
                yield Problem(f"{inside}.minReplicas", f"{low} is above maxReplicas, {high}")
            elif isinstance(count, int) and not low <= count <= high:
                yield Problem(
                    f"{inside}.replicas", f"{count} is not between minReplicas, {low}, and maxReplicas, {high}"
                )
            if low < high and at(spec, "enableInTreeAutoscaling") is not True:
                yield Problem(key(where, "enableInTreeAutoscaling"), f"is not true, so {inside} would never grow")
        if names.count(at(group, "groupName")) > 1:
            yield Problem(f"{inside}.groupName", f"{at(group, 'groupName')!r} names two groups")
        stated, has = at(group, "rayStartParams", "num-gpus"), gpus_of(at(group, "template"))
        if stated is not None and str(stated) != str(has):
            yield Problem(f"{inside}.rayStartParams.num-gpus", f"tells Ray of {stated} GPUs, and the pod has {has}")


def head_problems(spec: Any, where: str) -> Iterator[Problem]:
    """No GPU, no tasks, a memory that outlives it, and a door that asks for the token."""
    head = key(where, "headGroupSpec")
    if gpus := gpus_of(at(spec, "headGroupSpec", "template")):
        yield Problem(f"{head}.template.spec.containers[0].resources", f"the head has {gpus} GPUs: paid for while idle")
    if at(spec, "headGroupSpec", "rayStartParams", "num-cpus") != "0":
        yield Problem(f"{head}.rayStartParams.num-cpus", 'is not "0": work there can take the cluster down')
    if at(spec, "authOptions", "mode") != "token":
        yield Problem(key(where, "authOptions.mode"), "is not token: whoever reaches the cluster runs code on it")
    tolerance = at(spec, "gcsFaultToleranceOptions")
    if tolerance is None:
        yield Problem(key(where, "gcsFaultToleranceOptions"), "is missing: a head that dies takes the cluster with it")
    elif at(tolerance, "backend") in (None, "redis") and not at(tolerance, "redisAddress"):
        address = key(where, "gcsFaultToleranceOptions.redisAddress")
        yield Problem(address, "is missing: where does the head keep its state?")


def storage_problems(
    document: dict[str, Any], templates: Sequence[tuple[str, Any]], others: Sequence[dict[str, Any]]
) -> Iterator[Problem]:
    """The runs' storage: a URI, or one claim that every Ray pod mounts at that path and all may write at once."""
    storage = at(document, "metadata", "annotations", STORAGE)
    if not isinstance(storage, str):
        yield Problem(f"metadata.annotations.{STORAGE}", "is missing: where do all pods read and write the runs?")
        return
    if "://" in storage:
        return
    claims = {}
    for place, template in templates:
        mounts = mounts_of(template).items()
        fitting = [claim for path, claim in mounts if f"{storage}/".startswith(f"{path.rstrip('/')}/")]
        if not fitting:
            yield Problem(f"{place}.spec.containers[0].volumeMounts", f"no claim is mounted at {storage}")
        else:
            claims[place] = fitting[0]
    if len(set(claims.values())) > 1:
        several = ", ".join(sorted(set(claims.values())))
        yield Problem(f"metadata.annotations.{STORAGE}", f"{storage} is not one claim but several: {several}")
    for other in others:
        name, modes = at(other, "metadata", "name"), at(other, "spec", "accessModes") or []
        if other.get("kind") == "PersistentVolumeClaim" and name in claims.values() and "ReadWriteMany" not in modes:
            message = f"of the claim {name} is not ReadWriteMany, and pods on several nodes write to it"
            yield Problem("spec.accessModes", message)


def job_problems(document: dict[str, Any]) -> Iterator[Problem]:
    """A job that is retried, ended and cleaned up, and that keeps what it makes."""
    entrypoint, storage = str(at(document, "spec", "entrypoint")), at(document, "metadata", "annotations", STORAGE)
    if at(document, "spec", "backoffLimit") in (None, 0):
        yield Problem("spec.backoffLimit", "is missing or 0: a lost cluster would end the sweep")
    if at(document, "spec", "shutdownAfterJobFinishes") is not True:
        yield Problem("spec.shutdownAfterJobFinishes", "is not true: the cluster would go on costing after the sweep")
    if isinstance(storage, str) and f"--storage {storage}" not in entrypoint:
        yield Problem("spec.entrypoint", f"does not say --storage {storage}, so the runs would end with the cluster")
