"""The right to write: a worker that may have been replaced without knowing it writes nothing."""

import time
from typing import Any, Final

from aiokafka.errors import KafkaError

LEASE_SHARE: Final = 0.9
"""Of the session timeout: a worker stops writing well before the group gives its partitions away."""


class LeaseLostError(KafkaError):
    """This worker may no longer own its partitions: it must not write, and ends."""

    retriable = False


class Lease:
    """Until when the group coordinator surely still counts this worker as a member, whatever happened since.

    Counted from the moment at which a heartbeat that succeeded was *sent*, on a clock that runs on while the process
    or the machine is stopped. The rebalance timeout must not be shorter than the session timeout.
    """

    def __init__(self, session_timeout: float) -> None:
        self._length = LEASE_SHARE * session_timeout
        self._until = 0.0

    @property
    def is_held(self) -> bool:
        return self._now() <= self._until

    def renewed_by(self, client: Any) -> None:
        """Watch the group's client: its heartbeats carry the lease."""
        send = client.send

        async def watched(node_id: Any, request: Any, **kwargs: Any) -> Any:
            sent = self._now()
            response = await send(node_id, request, **kwargs)
            if type(request).__name__.startswith(("HeartbeatRequest", "SyncGroupRequest")) and not response.error_code:
                self._until = max(self._until, sent + self._length)
            return response

        client.send = watched

    def guards(self, client: Any) -> None:
        """Let no produce request of *client* leave without the lease."""
        send = client.send

        async def guarded(node_id: Any, request: Any, **kwargs: Any) -> Any:
            if type(request).__name__.startswith("ProduceRequest"):
                await client.ready(node_id)
                # Nothing may be awaited between this look at the clock and the sending.
                if not self.is_held:
                    raise LeaseLostError
            return await send(node_id, request, **kwargs)

        client.send = guarded

    @staticmethod
    def _now() -> float:
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
