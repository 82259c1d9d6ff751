"""What a pod of ours must have beyond what Kubernetes asks: limits, no root, a fixed image, secrets by reference."""

import re
from collections.abc import Iterator
from typing import Any

from orchestrator.clusters.files.documents import at, items, key
from orchestrator.clusters.files.images import tag_of
from workloads.errors import Problem

GPU = "nvidia.com/gpu"
SECRET = re.compile(r"(?i)passw|secret|token|credential|api_?key")


def pod_problems(template: Any, where: str) -> Iterator[Problem]:
    """All that is wrong with a pod template at `where`, as far as Kubernetes' schema cannot say it."""
    pod = at(template, "spec", "securityContext")
    if not where.endswith("headGroupSpec.template"):  # the autoscaler beside a head asks Kubernetes for pods
        yield from token_problems(template, where)
    for n, container in enumerate(at(template, "spec", "containers") or []):
        inside = key(where, "spec", "containers", n)
        yield from resource_problems(container, inside)
        yield from security_problems(pod, container, inside)
        yield from secret_problems(container, inside)
        yield from login_problems(container, inside)
        image = at(container, "image")
        if isinstance(image, str) and "@" not in image and tag_of(image) in (None, "latest"):
            yield Problem(f"{inside}.image", f"{image!r} has no fixed tag: pods started later may run another version")
        volumes = [at(v, "name") for _, v in items(template, "spec", "volumes")]  # of any type
        for mount, value in items(container, "volumeMounts"):
            if at(value, "name") not in volumes and at(value, "name") is not None:
                yield Problem(key(inside, f"{mount}.name"), f"{at(value, 'name')!r} is no volume of this pod")
            if isinstance(path := at(value, "mountPath"), str) and not path.startswith("/"):
                yield Problem(key(inside, f"{mount}.mountPath"), f"found {path!r}, expected an absolute path")


def resource_problems(container: Any, where: str) -> Iterator[Problem]:
    """Requests and limits of CPU and memory; GPUs whole, and requested as limited: Kubernetes shares none."""
    for kind in ("requests", "limits"):
        for name in ("cpu", "memory"):
            if at(container, "resources", kind, name) is None:
                yield Problem(f"{where}.resources.{kind}.{name}", "is missing: a pod without it starves its neighbours")
    request, limit = (at(container, "resources", kind, GPU) for kind in ("requests", "limits"))
    for kind, value in (("requests", request), ("limits", limit)):
        if value is not None and not re.fullmatch(r"\d+", str(value)):
            yield Problem(f"{where}.resources.{kind}.{GPU}", f"found {value!r}: Kubernetes gives whole GPUs only")
    if request is not None and str(request) != str(limit):
        message = f"found {limit!r}, and {request!r} requested; they must be equal"
        yield Problem(f"{where}.resources.limits.{GPU}", message)


def security_problems(pod: Any, container: Any, where: str) -> Iterator[Problem]:
    context = (pod if isinstance(pod, dict) else {}) | (at(container, "securityContext") or {})
    if context.get("runAsNonRoot") is not True:
        yield Problem(f"{where}.securityContext.runAsNonRoot", "is not true: nothing here needs to be root")
    if at(container, "securityContext", "allowPrivilegeEscalation") is not False:
        yield Problem(f"{where}.securityContext.allowPrivilegeEscalation", "is not false")
    if at(container, "securityContext", "privileged") is True:
        yield Problem(f"{where}.securityContext.privileged", "is true: nothing here needs it")


def secret_problems(container: Any, where: str) -> Iterator[Problem]:
    """A password in a file is a password in git: such variables come from a Secret."""
    for place, variable in items(container, "env"):
        name = str(at(variable, "name"))
        if SECRET.search(name) and not name.endswith("_PATH") and at(variable, "value") is not None:
            yield Problem(key(where, f"{place}.value"), f"{name} stands in the file; use valueFrom.secretKeyRef")


def token_problems(template: Any, where: str) -> Iterator[Problem]:
    """A pod without an account of its own has no use for a token of Kubernetes; whoever breaks in has."""
    account, mounts = at(template, "spec", "serviceAccountName"), at(template, "spec", "automountServiceAccountToken")
    if account is None and mounts is not False:
        yield Problem(f"{where}.spec.automountServiceAccountToken", "is not false: nothing here talks to Kubernetes")


def login_problems(container: Any, where: str) -> Iterator[Problem]:
    """A server of MLflow that asks nobody who they are lets every pod read and change all runs."""
    words = " ".join(str(word) for part in ("command", "args") for _, word in items(container, part))
    if "mlflow server" in words and "--app-name basic-auth" not in words:
        yield Problem(f"{where}.args", "mlflow server without --app-name basic-auth asks nobody for a password")


def gpus_of(template: Any) -> int:
    """GPUs of a pod's first container, Ray's."""
    value = at(template, "spec", "containers", 0, "resources", "limits", GPU)
    return int(value) if re.fullmatch(r"\d+", str(value)) else 0


def mounts_of(template: Any) -> dict[str, str]:
    """Mount path -> claim, of the volumes that a pod's first container mounts from claims."""
    volumes = items(template, "spec", "volumes")
    claims = {str(at(v, "name")): at(v, "persistentVolumeClaim", "claimName") for _, v in volumes}
    mounts = items(template, "spec", "containers", 0, "volumeMounts")
    return {str(at(m, "mountPath")): str(claim) for _, m in mounts if (claim := claims.get(str(at(m, "name"))))}
