"""Which machine of a cloud carries which GPU: what the files are rendered from and checked against."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """One instance type and what it has. `memory` is its main memory in GiB."""

    name: str
    cpus: int
    memory: int
    gpus: int = 0


@dataclass(frozen=True)
class Gpu:
    """A GPU by the name that Ray gives its `accelerator_type`; `memory` in GiB, a machine of each cloud that has it."""

    memory: int
    aws: Machine | None = None
    gcp: Machine | None = None


GPUS = {
    "T4": Gpu(16, Machine("g4dn.2xlarge", 8, 32, 1), None),
    "L4": Gpu(24, Machine("g6.2xlarge", 8, 32, 1), Machine("g2-standard-8", 8, 32, 1)),
    "A10G": Gpu(24, Machine("g5.2xlarge", 8, 32, 1), None),
    "L40S": Gpu(48, Machine("g6e.2xlarge", 8, 64, 1), None),
    "A100": Gpu(40, Machine("p4d.24xlarge", 96, 1152, 8), Machine("a2-highgpu-1g", 12, 85, 1)),
    "A100-80G": Gpu(80, Machine("p4de.24xlarge", 96, 1152, 8), Machine("a2-ultragpu-1g", 12, 170, 1)),
    "H100": Gpu(80, Machine("p5.4xlarge", 16, 256, 1), Machine("a3-highgpu-1g", 26, 234, 1)),
    "H200": Gpu(141, Machine("p5en.48xlarge", 192, 2048, 8), Machine("a3-ultragpu-8g", 224, 2952, 8)),
}
HEADS = {"aws": Machine("m7i.2xlarge", 8, 32), "gcp": Machine("n2-standard-8", 8, 32)}


def known_machines(cloud: str) -> dict[str, Machine]:
    """Instance types of a cloud that this table knows, by name."""
    machines = [getattr(gpu, cloud) for gpu in GPUS.values()] + [HEADS[cloud]]
    return {machine.name: machine for machine in machines if machine is not None}
