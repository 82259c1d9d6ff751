"""A cluster file from a few typed values: one of cluster/, which are good as they are, with other values filled in."""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from orchestrator.clusters.files.images import login_of, ray_of
from orchestrator.planning.machines import GPUS, HEADS, Machine
from tune_spaces.schema.validation import from_validation
from workloads.errors import Problem, nearest, several

Provider = Literal["local", "onprem", "aws", "gcp", "kuberay-raycluster", "kuberay-rayjob", "mlflow"]
FILES: dict[Provider, str] = {
    "local": "local.yaml",
    "onprem": "onprem.yaml",
    "aws": "aws.yaml",
    "gcp": "gcp.yaml",
    "kuberay-raycluster": "kuberay/raycluster.yaml",
    "kuberay-rayjob": "kuberay/rayjob.yaml",
    "mlflow": "mlflow.yaml",
}
MARK = "  #= "
# what may stand in a YAML value, a shell word and a DNS name at once: nothing that could end one of them
Name = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")]
Place = Annotated[str, Field(pattern=r"^(/|[a-z0-9]+://)[A-Za-z0-9_./-]*[A-Za-z0-9_-]$")]
Address = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]*$")]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]

STORAGES: dict[str, str] = {
    "local": "/var/tmp/anomaly/runs",  # noqa: S108 - an example that every machine has
    "aws": "s3://YOUR-BUCKET/runs",
    "gcp": "gs://YOUR-BUCKET/runs",
    "onprem": "/mnt/anomaly/runs",
}
DATA = "/mnt/anomaly/data"
"""Where data lies that all nodes read when the runs' storage is a URI: a data folder is a path."""
TRACKING = dict.fromkeys(("aws", "gcp", "onprem"), "http://YOUR-MLFLOW:5000")
"""Where mlflow.yaml's own name, http://mlflow:5000, leads nowhere: that is known to its Kubernetes alone."""
COMMON = frozenset({"provider", "name", "storage"})
CLOUD = COMMON | {"gpu", "min_workers", "max_workers", "image", "tracking_uri"}
USED: dict[Provider, frozenset[str]] = {
    "local": COMMON | {"ssh_user"},
    "onprem": COMMON | {"image", "tracking_uri", "head_ip", "worker_ips", "ssh_user"},
    "aws": CLOUD | {"region", "zone"},
    "gcp": CLOUD | {"region", "zone", "project"},
    "kuberay-raycluster": CLOUD,
    "kuberay-rayjob": CLOUD | {"space"},
    "mlflow": frozenset({"provider", "name", "image", "artifacts"}),
}
"""What each file is made of. A value that a file has no place for is refused: it would be ignored in silence."""
ZONES = {"aws": ("us-west-2", "us-west-2a,us-west-2b"), "gcp": ("us-central1", "us-central1-a")}


class ClusterValues(BaseModel):
    """What a cluster file is made of. Everything else in it follows, or is worth editing by hand."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: Provider
    name: Name = "anomaly"
    gpu: str = Field(default="L4", description="by the name that Ray gives its accelerator type")
    min_workers: int = Field(default=0, ge=0, le=4096, description="GPU workers that are always there")
    max_workers: int = Field(default=8, ge=1, le=4096, description="GPU workers when all are there")
    storage: Place | None = Field(default=None, description="where every node reads and writes the runs")
    image: Annotated[str, Field(pattern=r"^[a-z0-9][A-Za-z0-9_./:@-]*$")] = (
        "registry.example.com/anomaly-orchestrator:ray2.60.0-cuda"
    )
    tracking_uri: Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.-]+(:\d+)?(/[A-Za-z0-9_./-]*)?$")] | None = None
    artifacts: Place = Field(default="s3://YOUR-BUCKET/mlflow", description="the tracking server's, for mlflow")
    project: Word = Field(default="YOUR-PROJECT", description="of Google Cloud")
    region: Word | None = None
    zone: Annotated[str, Field(pattern=r"^[a-z0-9,-]+$")] | None = None
    head_ip: Address = "192.168.1.10"
    worker_ips: tuple[Address, ...] = ("192.168.1.11", "192.168.1.12")
    ssh_user: Word = "ubuntu"
    space: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = Field(
        default="sweep_cifar10", description="what a RayJob launches"
    )

    @model_validator(mode="after")
    def consistent(self) -> Self:
        if problems := list(self.problems()):
            raise several(problems)
        return self

    def problems(self) -> Iterator[Problem]:
        used = USED[self.provider]
        for name in sorted(self.model_fields_set - used):
            takes = ", ".join(sorted(used - {"provider"}))
            yield Problem(name, f"{self.provider} does not use it; it takes {takes}")
        if self.min_workers > self.max_workers:
            yield Problem("min_workers", f"{self.min_workers} is above max_workers, {self.max_workers}")
        if self.gpu not in GPUS:
            yield Problem("gpu", f"no such GPU {self.gpu!r}; {nearest(self.gpu, GPUS)}")
        elif self.provider in HEADS and getattr(GPUS[self.gpu], self.provider) is None:
            offered = [name for name, gpu in GPUS.items() if getattr(gpu, self.provider)]
            yield Problem("gpu", f"{self.provider} has no {self.gpu}; it has {', '.join(offered)}")
        if self.provider == "gcp" and len(account := f"{self.name}-worker") > 30:
            rule = "a service account's name at most 30"
            yield Problem("name", f"{account} has {len(account)} characters, and {rule}")
        if ray_of(self.image) is None:
            yield Problem("image", f"its tag must name its Ray, such as ray2.60.0-cuda, found {self.image!r}")

    def machine(self) -> Machine:
        """What carries the GPU; on Kubernetes, 8 CPUs and 32 GiB a GPU are assumed."""
        return getattr(GPUS[self.gpu], self.provider, None) or Machine(self.gpu, 8, 32, 1)

    def substitutes(self) -> dict[str, Any]:
        machine, region = self.machine(), ZONES.get(self.provider, ("", ""))
        storage = self.storage or STORAGES.get(self.provider, STORAGES["onprem"])
        return self.model_dump() | {
            "storage": storage,
            "mount": DATA if "://" in storage else storage,
            "data_dir": DATA if "://" in storage else f"{storage}/data-dir",
            "tracking_uri": self.tracking_uri or TRACKING.get(self.provider, "http://mlflow:5000"),
            "ray_version": ray_of(self.image),
            "head_machine": HEADS[self.provider].name if self.provider in HEADS else "",
            "gpu_machine": machine.name,
            "cpus": machine.cpus,
            "gpus": machine.gpus,
            "slots": self.max_workers * machine.gpus,  # trials at once when the cluster has grown to its full size
            "pod_cpus": max(1, machine.cpus - 1),  # a node keeps some for itself
            "pod_memory": f"{max(1, machine.memory - 4)}Gi",
            "region": self.region or region[0],
            "zone": self.zone or region[1],
            "logins": json.dumps([login] if (login := login_of(self.image, self.provider)) else []),
            "worker_ips": f"[{', '.join(self.worker_ips)}]",
            "max_workers": len(self.worker_ips) if self.provider == "onprem" else self.max_workers,
        }


def values_of(provider: str, values: dict[str, Any]) -> ClusterValues:
    """Typed values from the command line's. Raises UserError with everything wrong."""
    try:
        defaults = {"name": "anomaly-sweep"} if provider == "kuberay-rayjob" else {}
        return ClusterValues.model_validate(defaults | {"provider": provider} | values)
    except ValidationError as error:
        raise several(from_validation(error, ClusterValues)) from None


def file_of(provider: str, values: dict[str, Any]) -> str:
    """The cluster file of a provider with the command line's values. Raises UserError with everything wrong."""
    return render(values_of(provider, values))


def render(values: ClusterValues) -> str:
    """The YAML file, comments and all: the one in cluster/ with these values in place of its own.

    There ``key: default  #= name`` says that the line holds the value `name`; of several names in their order.
    """
    defaults, chosen = values_of(values.provider, {}).substitutes(), values.substitutes()
    lines = []
    for line in files(__package__).joinpath("deployments", FILES[values.provider]).read_text().splitlines():
        ahead, _, marks = line.partition(MARK)
        filled = ""
        for name in marks.split():
            place = re.search(rf"(?<!\w){re.escape(str(defaults[name]))}(?!\w)", ahead)
            if place is None:
                raise ValueError(f"{FILES[values.provider]}: no {defaults[name]!r} where {name} is marked: {line}")
            filled, ahead = f"{filled}{ahead[: place.start()]}{chosen[name]}", ahead[place.end() :]
        lines.append(filled + ahead)
    return "\n".join(line for line in lines if MARK.strip() not in line) + "\n"  # without the line about marks
