"""What the machine of a launch is busy with, by MLflow's own monitors: CPU, memory, disk, network and GPUs."""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

SAMPLE_S, SAMPLES = 10.0, 6
"""Seconds from a sample to the next, which costs a fifth of a millisecond, and how many make a point of a chart."""


@dataclass
class Machine:
    """Samples of the whole machine that the launcher is on; of a cluster's other nodes there are none."""

    monitors: list[Any] = field(default_factory=list)
    due: float = 0.0
    samples: int = 0

    def sample(self, *, last: bool = False) -> dict[str, float]:
        """Take a sample where one is due; means of the samples by MLflow's names where a point is whole, or `last`."""
        moment = time.monotonic()
        if not self.monitors:
            self.start()
            self.due = moment + SAMPLE_S
        elif moment >= self.due or last:
            self.due, self.samples = moment + SAMPLE_S, self.samples + 1
            for monitor in self.monitors:
                monitor.collect_metrics()
        if not self.samples or (self.samples < SAMPLES and not last):
            return {}
        self.samples = 0
        means = {
            f"system/{name}": value for monitor in self.monitors for name, value in monitor.aggregate_metrics().items()
        }
        for monitor in self.monitors:
            monitor.clear_metrics()
        return means

    def start(self) -> None:
        """The first look is where the next one counts from."""
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
        from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
        from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

        self.monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
        with suppress(Exception):  # no GPU, no driver, no nvidia-ml-py: MLflow raises what each of them raises
            self.monitors.append(GPUMonitor())
        for monitor in self.monitors:
            monitor.collect_metrics()
            monitor.clear_metrics()
