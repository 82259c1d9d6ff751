"""Where the workers of one training meet, closed to other machines where all of them are on this one.

torch's store listens on every address and asks nobody who they are; what workers find in it leads them to each other.
"""

import importlib
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from ray.train.torch import TorchConfig
from ray.train.torch.config import _TorchBackend


@dataclass
class LocalStoreConfig(TorchConfig):
    """Ray's own, whose workers' store stays on the loopback address where Ray is there."""

    @property
    def backend_cls(self) -> type[_TorchBackend]:
        return LocalStoreBackend


class LocalStoreBackend(_TorchBackend):
    def on_start(self, worker_group: Any, backend_config: TorchConfig) -> None:
        worker_group.execute(keep_store_local)
        super().on_start(worker_group, backend_config)


def keep_store_local() -> None:
    """From now on this process listens for its store on the address alone that others are told, if it is loopback."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    def store(host_name: str, port: int, is_master: bool = False, **more: Any) -> TCPStore:
        if is_master and ip_address(host_name).is_loopback:
            family = socket.AF_INET6 if ":" in host_name else socket.AF_INET
            more["master_listen_fd"] = socket.create_server((host_name, port), family=family).detach()
        return TCPStore(host_name=host_name, port=port, is_master=is_master, **more)

    importlib.import_module("torch.distributed.rendezvous").TCPStore = store  # type: ignore[attr-defined]
