"""Where a record goes that a sink can never carry on: whole, with where it was and why it is here."""

from collections.abc import Mapping

import structlog

from schemas.dead_letters import dead_letter_headers
from schemas.errors import Skippable
from sinks.base import Delivery
from sinks.outbox import Outbox, Outgoing

log = structlog.get_logger(__name__)


def dead_letter(topic: str, sink: str, delivery: Delivery, error: Skippable, *, attempts: int) -> Outgoing:
    """Return the record for the dead letters: key, value and headers untouched, ours behind them."""
    ours = dead_letter_headers(
        error,
        stage=f"sink:{sink}",
        origin=f"{delivery.topic}/{delivery.partition}/{delivery.offset}",
        timestamp=delivery.timestamp,
        attempts=attempts,
    )
    return Outgoing(topic=topic, key=delivery.key, value=delivery.value, headers=[*delivery.headers, *ours])


class DeadLetters:
    """The dead letters of one sink."""

    def __init__(self, client: Mapping[str, str | int | bool], topic: str, sink: str) -> None:
        self._outbox = Outbox(client)
        self._topic = topic
        self._sink = sink

    def publish(self, delivery: Delivery, error: Skippable, *, attempts: int) -> None:
        """Return once the broker holds it. Raises Retriable: it may be published twice, never not at all."""
        self._outbox.send([dead_letter(self._topic, self._sink, delivery, error, attempts=attempts)])
        origin = f"{delivery.topic}/{delivery.partition}/{delivery.offset}"
        log.error("sink.dead_lettered", sink=self._sink, origin=origin, reason=str(error))

    def close(self) -> None:
        self._outbox.close()
