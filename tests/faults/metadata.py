"""A broker that says there are none, as one does that was fenced and has not registered again."""

import struct
from collections.abc import Iterator

from tests.faults.proxy import UP, Edit

_METADATA = 3
_FLEXIBLE = 9
"""From this version of the answer on, lengths are varints."""


class Brokers:
    """Whether answers about the cluster name its brokers; how many did not."""

    def __init__(self) -> None:
        self.are_hidden = False
        self.hidden = 0

    def edit(self) -> Edit:
        return _Edit(self)


class _Edit(Edit):
    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers
        self._asked: dict[int, int] = {}
        """Version, by the number of the question."""
        self._parts = {True: b"", False: b""}

    def passed(self, data: bytes, direction: str) -> bytes:
        is_up = direction == UP
        frames = list(self._frames(data, is_up=is_up))
        if is_up:
            for frame in frames:
                key, version, number = struct.unpack_from(">hhi", frame)
                if key == _METADATA:
                    self._asked[number] = version
            return data
        return b"".join(struct.pack(">i", len(frame)) + frame for frame in map(self._answer, frames))

    def _frames(self, data: bytes, *, is_up: bool) -> Iterator[bytes]:
        left = self._parts[is_up] + data
        while len(left) >= 4 and len(left) >= (end := 4 + struct.unpack_from(">i", left)[0]):
            yield left[4:end]
            left = left[end:]
        self._parts[is_up] = left

    def _answer(self, frame: bytes) -> bytes:
        version = self._asked.pop(struct.unpack_from(">i", frame)[0], None)
        if version is None or not self._brokers.are_hidden:
            return frame
        self._brokers.hidden += 1
        return _without_brokers(frame, version)


def _without_brokers(frame: bytes, version: int) -> bytes:
    """Return an answer about the cluster with an empty list of brokers, and all else as it was."""
    start = 4 + (version >= _FLEXIBLE) + 4 * (version >= 3)
    end = start
    if version >= _FLEXIBLE:
        count, end = _varint(frame, end)
        for _ in range(count - 1):
            end += 4
            length, end = _varint(frame, end)
            end += length - 1 + 4
            length, end = _varint(frame, end)
            end += max(0, length - 1)
            tags, end = _varint(frame, end)
            assert not tags
        return frame[:start] + b"\x01" + frame[end:]
    (count,) = struct.unpack_from(">i", frame, end)
    end += 4
    for _ in range(count):
        end += 4
        end += 2 + struct.unpack_from(">h", frame, end)[0] + 4
        if version:
            end += 2 + max(0, struct.unpack_from(">h", frame, end)[0])
    return frame[:start] + struct.pack(">i", 0) + frame[end:]


def _varint(frame: bytes, place: int) -> tuple[int, int]:
    """Return a number and the place behind it."""
    number = shift = 0
    while True:
        byte = frame[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not byte & 0x80:
            return number, place
