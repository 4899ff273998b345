"""Keeps what a replica listens on to this machine, where the cluster is on this machine alone."""

from __future__ import annotations

from typing import Any

LOOPBACK, EVERYWHERE = "127.0.0.1", "[::]"


def stay_there() -> None:
    """Ray opens a server in each replica, for other replicas, on all interfaces; it asks for the cluster's token.

    On a cluster of one node, whose address is loopback, nobody beyond it need reach that server.
    """
    import ray
    from ray.serve._private import replica

    listen = getattr(replica, "add_port_to_grpc_server", None)
    if listen is None or ray.util.get_node_ip_address() != LOOPBACK:
        return

    def listen_here(server: Any, address: str) -> Any:
        return listen(server, address.replace(EVERYWHERE, LOOPBACK))

    replica.add_port_to_grpc_server = listen_here
