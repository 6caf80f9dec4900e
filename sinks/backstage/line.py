"""What is said to Backstage, and its verdict on each entity: the client behind the circuit, in pieces that fit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import structlog

from schemas.errors import ConfigError
from schemas.metrics import BackstageMetrics
from sinks.backstage.circuit import Circuit
from sinks.backstage.client import Answer, AwayError, BackstageClient, RejectedError, Status

log = structlog.get_logger(__name__)

T = TypeVar("T")

State = Literal["applied", "removed", "refused", "conflict"]

PIECE: Final = 1_000
"""Entities of one delta at most."""
PIECE_BYTES: Final = 8 * 1024 * 1024
SHARD_BYTES: Final = 15 * 1024 * 1024
"""A full mutation at most; the module takes 16 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What Backstage shall hold of one entity: its descriptor as JSON, or None = nothing."""

    ref: str
    content: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of an item."""

    state: State
    reason: str | None = None


class Line:
    """Everything that is sent to Backstage goes through here. Raises AwayError, or Retriable while it is left alone."""

    def __init__(self, client: BackstageClient, circuit: Circuit, shards: int, metrics: BackstageMetrics) -> None:
        self._client = client
        self._circuit = circuit
        self._shards = shards
        self._metrics = metrics
        self._is_checked = False
        self.was_away = True
        """Whether it was away, or unknown, since somebody last set this to False: what it holds may be anything."""

    @property
    def is_left_alone(self) -> bool:
        return self._circuit.seconds_left > 0

    def status(self) -> Status:
        """Raises ConfigError when Backstage has other shards than we have."""
        status = self._ask(self._client.status)
        if set(status.shards) != set(range(self._shards)):
            raise ConfigError(
                f"Backstage's module has {len(status.shards)} shards and sinks.backstage.shards says {self._shards}:"
                " let both say the same number"
            )
        self._is_checked = True
        return status

    def change(self, shard: int, items: Sequence[Item]) -> dict[str, Verdict]:
        """Send *items* as deltas; return the verdict on each."""
        self._check()
        verdicts: dict[str, Verdict] = {}
        for piece in pieces(items):
            verdicts |= self._changed(shard, piece)
        for verdict in verdicts.values():
            self._metrics.emissions.labels(verdict.state).inc()
        return verdicts

    def put(self, shard: int, items: Sequence[Item], content_hash: str) -> dict[str, Verdict]:
        """Let the shard be *items* and nothing else; return the verdict on each.

        One that is too large for that is sent as deltas: what Backstage holds beyond *items* then stays.
        """
        self._check()
        contents = [item.content for item in items if item.content is not None]
        if sum(map(len, contents)) <= SHARD_BYTES:
            try:
                answer = self._ask(lambda: self._client.put(shard, contents, content_hash))
                return _verdicts(items, answer)
            except RejectedError as error:
                log.warning("backstage.shard_rejected", shard=shard, reason=str(error))
        log.warning("backstage.shard_too_large", shard=shard, entities=len(items), remedy="configure more shards")
        return self.change(shard, items)

    def close(self) -> None:
        self._client.close()

    def _check(self) -> None:
        if not self._is_checked:
            self.status()

    def _changed(self, shard: int, items: Sequence[Item]) -> dict[str, Verdict]:
        upserts = [item.content for item in items if item.content is not None]
        removals = [item.ref for item in items if item.content is None]
        try:
            return _verdicts(items, self._ask(lambda: self._client.change(shard, upserts, removals)))
        except RejectedError as error:
            if len(items) > 1:
                middle = len(items) // 2
                return self._changed(shard, items[:middle]) | self._changed(shard, items[middle:])
            self._require_understanding(shard)
            return {items[0].ref: Verdict(state="refused", reason=str(error))}

    def _require_understanding(self, shard: int) -> None:
        """A module that takes no body at all must not make every entity look refused."""
        try:
            self._ask(lambda: self._client.change(shard, (), ()))
        except RejectedError as error:
            raise AwayError(
                f"{error}, even to a change of nothing: compare the versions of Mainstem and its module"
            ) from None

    def _ask(self, act: Callable[[], T]) -> T:
        known = self._circuit.require()
        try:
            answer = act()
        except AwayError as error:
            self._is_checked = False
            self.was_away = True
            self._circuit.failed(known, error.wait_seconds)
            self._metrics.circuit_open.set(int(self._circuit.is_open))
            raise
        except RejectedError:
            self._heard(known)
            raise
        self._heard(known)
        return answer

    def _heard(self, known: int) -> None:
        if self._circuit.succeeded(known):
            log.info("backstage.is_back")
        self._metrics.circuit_open.set(int(self._circuit.is_open))


def pieces(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Part *items*, in order, so that each part fits into one request."""
    begin, size = 0, 0
    for place, item in enumerate(items):
        added = len(item.content or item.ref)
        if place > begin and (place - begin == PIECE or size + added > PIECE_BYTES):
            yield items[begin:place]
            begin, size = place, 0
        size += added
    if begin < len(items):
        yield items[begin:]


def _verdicts(items: Sequence[Item], answer: Answer) -> dict[str, Verdict]:
    found = {item.ref: _verdict(item, answer) for item in items}
    if silent := sum(verdict is None for verdict in found.values()):
        raise AwayError(f"Backstage's module did not say what became of {silent} of {len(items)} entities")
    return {ref: verdict for ref, verdict in found.items() if verdict is not None}


def _verdict(item: Item, answer: Answer) -> Verdict | None:
    if item.content is None:
        # Whoever holds it now, it is not held for us any more.
        return Verdict(state="removed")
    if item.ref in answer.refused:
        return Verdict(state="refused", reason=answer.refused[item.ref])
    if item.ref in answer.conflicts:
        return Verdict(state="conflict", reason=answer.conflicts[item.ref])
    return Verdict(state="applied") if item.ref in answer.applied else None
