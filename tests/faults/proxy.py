"""A network that can be made bad: a TCP proxy in user space for each role and server."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

_CHUNK: Final = 64 * 1024
_LOOK_SECONDS: Final = 0.02
UP: Final = "up"
"""From the client to the server."""
DOWN: Final = "down"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(eq=False)
class Proxy:
    """Passes bytes between whoever connects to *port* and the server that *connect* reaches.

    What is set holds at once, for connections that are open as well. Every method may be called from any thread.
    """

    port: int
    connect: Callable[[], Coroutine[Any, Any, Streams]]
    latency: float = 0.0
    """Seconds by which each piece is late."""
    bandwidth: float = 0.0
    """Bytes per second and direction of one connection; 0 = no limit."""
    held: frozenset[str] = frozenset()
    """Directions in which nothing passes for now; what waits is delivered late, as after a cut cable."""
    carried: int = 0
    """Bytes passed so far."""
    edit: Callable[[], "Edit"] | None = None
    """Makes, for each connection, what may change the bytes in it."""
    _loop: asyncio.AbstractEventLoop | None = None
    _server: asyncio.Server | None = None
    _open: set["_Connection"] = field(default_factory=set)

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def reset(self) -> int:
        """Reset all connections; what waits in them is lost. Return how many there were."""
        return self._call(self._reset)

    def refuse(self) -> int:
        """As :meth:`reset`, and let nobody connect."""
        return self._call(self.close)

    def admit(self) -> None:
        """Let connect again."""
        self._call(self.open)

    def forget(self) -> int:
        """Let the servers' side of all connections die while the clients hear nothing of it: they are half open."""
        return self._call(self._forget)

    def _call(self, act: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(act(), self._loop).result(10)

    async def _reset(self) -> int:
        found = list(self._open)
        for connection in found:
            _abort(connection.client)
            _abort(connection.server)
        return len(found)

    async def close(self) -> int:
        """Reset all connections and listen no more."""
        assert self._server is not None
        self._server.close()
        return await self._reset()

    async def _forget(self) -> int:
        for connection in self._open:
            connection.is_forgotten = True
            _abort(connection.server)
        return len(self._open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream, server = await self.connect()
        except OSError:
            _abort(writer)
            return
        connection = _Connection(writer, server, self.edit() if self.edit else Edit())
        self._open.add(connection)
        try:
            await asyncio.gather(
                self._pump(connection, reader, server, UP), self._pump(connection, upstream, writer, DOWN)
            )
        finally:
            self._open.discard(connection)
            _abort(writer)
            _abort(server)

    async def _pump(
        self, connection: "_Connection", reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._delay(len(data), direction)
                if writer.is_closing() and not connection.is_forgotten:
                    return
                if not connection.is_forgotten:
                    self.carried += len(data)
                    writer.write(connection.edit.passed(data, direction))
                    await writer.drain()
        if not connection.is_forgotten:
            writer.close()

    async def _delay(self, size: int, direction: str) -> None:
        while direction in self.held:  # noqa: ASYNC110 - set from other threads, and nobody is in a hurry
            await asyncio.sleep(_LOOK_SECONDS)
        pause = self.latency + (size / self.bandwidth if self.bandwidth else 0)
        if pause:
            await asyncio.sleep(pause)


class Edit:
    """What passes in one connection, left as it is."""

    def passed(self, data: bytes, direction: str) -> bytes:  # noqa: ARG002 - for those that look
        return data


@dataclass(eq=False)
class _Connection:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    edit: Edit
    is_forgotten: bool = False


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with a reset: nothing that waits is sent."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def to_port(port: int) -> Callable[[], Coroutine[Any, Any, Streams]]:
    return lambda: asyncio.open_connection("127.0.0.1", port)


def to_socket(path: str) -> Callable[[], Coroutine[Any, Any, Streams]]:
    return lambda: asyncio.open_unix_connection(path)


class Network:
    """The proxies of an installation, on a thread of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._proxies: list[Proxy] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()

    def open(self, proxy: Proxy) -> Proxy:
        asyncio.run_coroutine_threadsafe(proxy.open(), self._loop).result(10)
        self._proxies.append(proxy)
        return proxy

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        for proxy in self._proxies:
            await proxy.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
