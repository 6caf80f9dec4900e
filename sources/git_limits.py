"""What one fetch may take, so that a server that hangs, or never ends, holds no run."""

import threading
import time
from dataclasses import dataclass, field
from typing import Final

from schemas.errors import SourceUnreachableError

CONNECT_SECONDS: Final = 20.0
SILENCE_SECONDS: Final = 60.0
"""How long a server may say nothing."""
FETCH_SECONDS: Final = 280.0
"""How long a whole fetch may last, however busy the server is: the runner waits 300 s for a page."""
FETCH_BYTES: Final = 4_000_000_000


class StoppedError(Exception):
    """Nobody waits for this fetch any more."""


@dataclass(slots=True, kw_only=True)
class Limits:
    """Asked at each piece that comes from the server."""

    stop: threading.Event = field(default_factory=threading.Event)
    deadline: float = field(default_factory=lambda: time.monotonic() + FETCH_SECONDS)
    taken: int = 0

    def take(self, data: bytes) -> bytes:
        """Return *data*. Raises StoppedError once the run ended, SourceUnreachableError beyond a limit."""
        self.taken += len(data)
        if self.stop.is_set():
            raise StoppedError
        if time.monotonic() > self.deadline:
            raise SourceUnreachableError(f"the fetch was given up after {FETCH_SECONDS:,.0f} s")
        if self.taken > FETCH_BYTES:
            raise SourceUnreachableError(f"the fetch was given up after {FETCH_BYTES:,} bytes")
        return data
