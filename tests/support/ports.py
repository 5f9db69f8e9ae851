"""Ports of this machine for servers that have to be told theirs."""

import socket


def free_port() -> int:
    """A port on loopback that nobody listens to now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
