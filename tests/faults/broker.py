"""The embedded Kafka with one more listener for each role, advertised where the role's proxy listens."""

from collections.abc import Mapping
from pathlib import Path

from mainstem.embedded import EmbeddedKafka, default_cache_dir


class ListeningKafka(EmbeddedKafka):
    """*listeners*: by name the broker's port, and the port at which clients find it."""

    def __init__(self, data_dir: Path, listeners: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(data_dir, cache_dir=default_cache_dir())
        self._listeners = listeners

    def _configure(self, log_dir: Path) -> None:
        super()._configure(log_dir)
        file = self._home / "server.properties"
        properties = dict(line.split("=", 1) for line in file.read_text().splitlines())
        for name, (port, advertised) in self._listeners.items():
            properties["listeners"] += f",{name}://127.0.0.1:{port}"
            properties["advertised.listeners"] += f",{name}://127.0.0.1:{advertised}"
            properties["listener.security.protocol.map"] += f",{name}:PLAINTEXT"
        file.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
