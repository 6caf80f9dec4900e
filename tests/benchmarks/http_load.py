"""A load generator that costs little beside what it asks: one thread, kept sockets, no parsing but of lengths.

usage: python -m tests.benchmarks.http_load URL CONNECTIONS SECONDS, with `{"paths", "token"}` on standard input; prints
requests a second, milliseconds, bytes of an answer, how many were no 200, and the share of answers during which the
host kept no processor for others (`calm`), with their own p99, which is looked at where there is one connection: each
look is time that others would wait.
"""

import json
import math
import selectors
import socket
import statistics
import sys
import time
from itertools import cycle
from urllib.parse import urlsplit

import psutil

_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_CHUNKED, _LAST_CHUNK = b"transfer-encoding: chunked", b"0\r\n\r\n"
"""JSON holds no line feed after a carriage return: what ends so is the end."""
_BUFFER = 1 << 20
_LEAST = 100
"""Answers, however long they take: fewer have no p99."""


class Connection:
    """One request at a time: the next is sent when the answer to the last one is there, whole."""

    def __init__(self, address: tuple[str, int], *, is_alone: bool) -> None:
        self.sock = socket.create_connection(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sent = self._stolen = 0.0
        self._is_alone = is_alone
        self._begin()

    def _begin(self) -> None:
        self._head, self._left, self._is_chunked = b"", -1, False

    def send(self, request: bytes) -> None:
        self._stolen = _stolen() if self._is_alone else 0.0
        self._sent = time.perf_counter()
        self.sock.sendall(request)

    def take(self) -> tuple[float, int, bool, bool] | None:
        """Read on; return seconds, bytes, success and calm of the answer once it is whole."""
        data = self.sock.recv(_BUFFER)
        assert data, "the server closed the connection"
        if self._is_chunked:
            self._length += len(data)
            self._tail = (self._tail + data)[-len(_LAST_CHUNK) :]
            self._left = self._tail != _LAST_CHUNK
        elif self._left >= 0:
            self._left -= len(data)
        else:
            self._head += data
            end = self._head.find(_END)
            if end < 0:
                return None
            head, body = self._head[:end].lower(), self._head[end + len(_END) :]
            self._is_success = head[9:12] == b"200"
            if _CHUNKED in head:
                self._is_chunked, self._length, self._tail = True, len(body), body[-len(_LAST_CHUNK) :]
                self._left = self._tail != _LAST_CHUNK
            else:
                at = head.index(_LENGTH) + len(_LENGTH)
                self._length = int(head[at:].partition(b"\r\n")[0])
                self._left = self._length - len(body)
        if self._left > 0:
            return None
        took = time.perf_counter() - self._sent
        self._begin()
        return took, self._length, self._is_success, self._is_alone and _stolen() == self._stolen


def _stolen() -> float:
    """Return the seconds for which the host has kept processors for others; 0 where it does not tell."""
    return float(getattr(psutil.cpu_times(), "steal", 0.0))


def main() -> None:
    url, connections, seconds = urlsplit(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    given = json.load(sys.stdin)
    head = f"Host: {url.netloc}\r\nAuthorization: Bearer {given['token']}\r\n\r\n"
    requests = cycle([f"GET {path} HTTP/1.1\r\n{head}".encode() for path in given["paths"]])
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        each = Connection((url.hostname or "", url.port or 80), is_alone=connections == 1)
        selector.register(each.sock, selectors.EVENT_READ, each)
        each.send(next(requests))
    print(json.dumps(_asked(selector, requests, seconds)))


def _asked(selector: selectors.BaseSelector, requests: "cycle[bytes]", seconds: float) -> dict[str, float]:
    took, calm, sizes, failed, began = [], [], [], 0, time.perf_counter()
    while time.perf_counter() < began + seconds or len(took) < _LEAST:
        for key, _ in selector.select(1.0):
            answer = key.data.take()
            if answer is None:
                continue
            took.append(answer[0] * 1_000)
            sizes.append(answer[1])
            failed += not answer[2]
            if answer[3]:
                calm.append(took[-1])
            key.data.send(next(requests))
    elapsed = time.perf_counter() - began
    cuts = statistics.quantiles(took, n=100)
    return {
        "rate": len(took) / elapsed,
        "p50": cuts[49],
        "p99": cuts[98],
        "bytes": statistics.mean(sizes),
        "failed": failed,
        "calm": len(calm) / len(took),
        "calm_p99": statistics.quantiles(calm, n=100)[98] if len(calm) >= _LEAST else math.inf,
    }


if __name__ == "__main__":
    main()
