"""Loopback ports that a service keeps over restarts."""

import random
import socket
from pathlib import Path

import orjson

from schemas.errors import UnavailableError

# Below the range that the system hands out to outgoing connections: a port from that range could be
# gone when a crashed service wants it back.
_PORTS = range(20_000, 32_000)


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Return *count* different ports on which nobody listens at this moment."""
    chosen: list[int] = []
    for port in random.sample(_PORTS, k=1_000):
        if is_free(port):
            chosen.append(port)
        if len(chosen) == count:
            return chosen
    raise UnavailableError(f"no free port on 127.0.0.1 between {_PORTS.start} and {_PORTS.stop}")


def remembered_ports(file: Path, count: int) -> list[int]:
    """Return the ports that *file* remembers if they are free, else new ones, which it then remembers."""
    try:
        ports: list[int] = orjson.loads(file.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        ports = []
    if len(ports) == count and all(is_free(port) for port in ports):
        return ports
    ports = free_ports(count)
    partial = file.with_suffix(".partial")
    partial.write_bytes(orjson.dumps(ports))
    partial.replace(file)
    return ports
