"""The dead letters, read from their topic one after the other, never all at once."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from mainstem.dead_letters.letters import DeadLetter, LetterId
from mainstem.refusals import is_denied, is_final, unavailable
from schemas.errors import MainstemError, UnavailableError

_ANSWER_SECONDS: Final = 10.0
_LEADER_SECONDS: Final = 0.2
_LOOK_SECONDS: Final = 1.0
"""Between two looks for Ctrl-C."""
_PATIENCE_SECONDS: Final = 30.0

Step = Callable[[int], None]
"""Told how many records were gone through since it was last called."""


class NotFound(MainstemError):  # noqa: N818 - no fault of anybody's
    """There is no such dead letter."""


class Reader:
    """Reads what was there when it was made: what is set aside meanwhile is not seen."""

    def __init__(self, client: Mapping[str, str | int | bool], *, topic: str, group: str, partitions: int) -> None:
        self._client = client
        self._topic = topic
        self._faults: list[KafkaError] = []
        self._consumer = Consumer(
            {
                **client,
                "group.id": group,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": 16 * 1024,
                "error_cb": self._faults.append,
            }
        )
        self._bounds = {number: self._asked(self._watermarks, number) for number in range(partitions)}

    def close(self) -> None:
        self._consumer.close()

    def starts(self, since: int | None) -> dict[int, int]:
        """Return where each partition is to be read from: its start, or the first record of *since* (epoch ms)."""
        lows = {number: low for number, (low, _) in self._bounds.items()}
        if since is None:
            return lows
        asked = [TopicPartition(self._topic, number, max(0, since)) for number in lows]
        found = self._asked(lambda: self._consumer.offsets_for_times(asked, timeout=_ANSWER_SECONDS))
        # -1: every record is older.
        return {
            each.partition: self._bounds[each.partition][1]
            if each.offset < 0
            else max(each.offset, lows[each.partition])
            for each in found
        }

    def count(self, starts: Mapping[int, int]) -> int:
        """Return how many records lie behind *starts*, or fewer: a topic may have holes."""
        return sum(max(0, self._bounds[number][1] - start) for number, start in starts.items())

    def scan(self, starts: Mapping[int, int], step: Step) -> Iterator[DeadLetter]:
        """Yield every dead letter, partition by partition."""
        for number, start in sorted(starts.items()):
            place, end = start, self._bounds[number][1]
            for message in self._read(number, start, end):
                step(message.offset() + 1 - place)
                place = message.offset() + 1
                yield DeadLetter.of(message)
            step(max(0, end - place))

    def find(self, ids: Iterable[LetterId]) -> Iterator[DeadLetter]:
        """Yield those dead letters. Raises NotFound at the first that is not there."""
        for wanted in ids:
            low, end = self._bounds.get(wanted.partition, (0, 0))
            found = next(self._read(wanted.partition, wanted.offset, end), None) if wanted.offset >= low else None
            if found is None or found.offset() != wanted.offset:
                raise NotFound(f"there is no dead letter {wanted}: none was, or it is older than the topic keeps")
            yield DeadLetter.of(found)

    def _read(self, number: int, start: int, end: int) -> Iterator[Any]:
        if start >= end:
            return
        self._consumer.assign([TopicPartition(self._topic, number, start)])
        quiet_since = time.monotonic()
        while True:
            message = self._consumer.poll(_LOOK_SECONDS)
            if message is None:
                if time.monotonic() - quiet_since > _PATIENCE_SECONDS:
                    raise UnavailableError(f"Kafka sends nothing more of {self._topic} partition {number}: try again")
                continue
            quiet_since = time.monotonic()
            if message.error() is not None:
                if message.error().code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    return
                raise unavailable(message.error(), self._faults, self._client)
            if message.offset() < end:
                yield message
            if message.offset() + 1 >= end:
                return

    def _watermarks(self, number: int) -> tuple[int, int]:
        low, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, number), timeout=_ANSWER_SECONDS)
        return low, high

    def _asked(self, question: Callable[..., Any], *arguments: Any) -> Any:
        """Return the answer. A leader that moves, or is chosen at this moment, is waited for."""
        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            try:
                return question(*arguments)
            except KafkaException as error:
                if time.monotonic() > deadline or is_final(self._faults) or is_denied(error.args[0]):
                    raise unavailable(error.args[0], self._faults, self._client) from None
            self._consumer.poll(_LEADER_SECONDS)
