"""Events for those who listen, over a topic in memory: whoever breaks off anywhere and comes back misses nothing."""

import asyncio
import random
import time

import pytest
from prometheus_client import CollectorRegistry

from mainstem.events import hub as hubs
from mainstem.events import replay as replays
from mainstem.events.hub import Hub
from mainstem.events.replay import Replay
from mainstem.events.topic import Event, EventId
from schemas.errors import UnavailableError
from schemas.metrics import ApiMetrics
from tests.patience import granted

MINUTE_MS = 60_000
PARTITIONS = 3


class Topic:
    """Stands for a topic reader: hands records out in uneven runs, and honours pauses."""

    def __init__(self, rng, log):
        self.partitions = PARTITIONS
        self.log = log
        self.is_away = self.is_closed = False
        self._rng = rng
        self._positions, self._paused = {}, set()

    def close(self):
        self.is_closed = True

    def bounds(self):
        return {number: (0, end) for number, end in self.ends().items()}

    def ends(self):
        if self.is_away:
            raise UnavailableError("away")
        return {number: len(self.log[number]) for number in range(PARTITIONS)}

    def since(self, moment):
        ends = self.ends()
        return {
            number: next((each.offset for each in self.log[number] if each.timestamp >= moment), ends[number])
            for number in ends
        }

    def begin(self, starts):
        self._positions = dict(starts)

    def pause(self, numbers):
        self._paused |= numbers

    def resume(self, numbers):
        self._paused -= numbers

    def read(self, seconds, at_most=50):
        there = [number for number in self._positions if number not in self._paused and self._more(number)]
        if not there or self.is_away:
            time.sleep(min(seconds, 0.01))
            return []
        number = self._rng.choice(there)
        found = self._more(number)[: self._rng.randint(1, at_most)]
        self._positions[number] = found[-1].offset + 1
        return found

    def scan(self, number, start, end):
        yield from self.log[number][start:end]

    def require(self, quiet_since):
        assert time.monotonic() - quiet_since < 5, "it waits for what does not come"

    def _more(self, number):
        return self.log[number][self._positions[number] :]


def told(rng, count, skew_ms=4 * MINUTE_MS):
    """Return a log of so many events in the order in which they came: each sender's clock is wrong by as much."""
    log = {number: [] for number in range(PARTITIONS)}
    skews, now = [rng.randint(-skew_ms, skew_ms) for _ in range(PARTITIONS)], 10**9
    order = []
    for version in range(count):
        number, now = rng.randrange(PARTITIONS), now + rng.choice([0, 1, 500, 2 * MINUTE_MS])
        name = f"component:default/n{number}-{rng.randrange(5)}@{version}"
        event = Event(name, "default", b"{}", number, len(log[number]), now + skews[number])
        log[number].append(event)
        order.append(event)
    return log, order


def resumed(rng, log, last, *, until=None):
    topic = Topic(rng, log)
    found = Replay.begin(topic, EventId.parse(last.id), last.partition, None if rng.random() < 0.5 else last.timestamp)
    got = []
    while not found.is_done and (until is None or len(got) < until):
        got += found.chunk(rng.randint(1, 20))
    return got


@pytest.mark.parametrize("seed", range(20))
def test_whoever_breaks_off_anywhere_and_comes_back_has_missed_nothing(monkeypatch, seed):
    """Again and again, in the midst of what they had missed, and at another process each time."""
    rng = random.Random(seed)
    monkeypatch.setattr(replays, "_AHEAD", 5)
    log, order = told(rng, 300)
    begin = rng.randrange(100)
    got = order[: begin + 1]
    for until in (60, 120, 7, None):
        got += resumed(rng, log, got[-1], until=until)
    assert {*order} == {*got}


def test_an_event_that_is_not_there_is_not_found():
    log, _ = told(random.Random(1), 20)
    assert Replay.begin(Topic(random.Random(1), log), EventId.parse("component:default/n@7777"), 0, None) is None


def test_an_event_that_was_sent_again_counts_where_it_came_first():
    log, order = told(random.Random(1), 60)
    first = next(each for each in order if each.partition == 0)
    again = first._replace(offset=len(log[0]), timestamp=order[-1].timestamp)
    log[0].append(again)
    assert {*log[0][1:]} <= {*resumed(random.Random(1), log, again)}


async def eventually(holds):
    until = granted() + 10
    while not holds():
        assert granted() < until
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("is_back", [True, False])
def test_nobody_is_told_anything_while_the_end_of_a_partition_is_not_known(monkeypatch, is_back):
    monkeypatch.setattr(hubs, "CONFIRM_SECONDS", 0.02)
    monkeypatch.setattr(hubs, "UNCONFIRMED_SECONDS", 60 if is_back else 0.1)
    log, order = told(random.Random(1), 10)
    topic = Topic(random.Random(1), log)

    async def listen():
        hub = Hub(lambda: topic, ApiMetrics(CollectorRegistry()))
        found = await hub.subscribe("default")
        topic.is_away = True
        notices = []
        while not notices and found.end_reason is None:
            notices += (await found.take(5))[1]
        topic.is_away = not is_back
        if is_back:
            log[0].append(order[0]._replace(offset=len(log[0])))
            events = []
            while not events or len(notices) < 2:
                more, sentences = await found.take(5)
                events, notices = events + more, notices + sentences
        else:
            await eventually(lambda: found.end_reason is not None)
            events = []
        hub.leave(found)
        await hub.close()
        return notices, len(events), found.end_reason

    notices, count, end = asyncio.run(listen())
    assert notices[0] == "Kafka does not answer; events follow when it does"
    assert (count, end) == ((1, None) if is_back else (0, "Kafka does not answer"))
    assert topic.is_closed


def test_the_topic_is_read_while_somebody_listens_and_once_for_all():
    opened = []

    def reader():
        opened.append(Topic(random.Random(1), told(random.Random(1), 3)[0]))
        return opened[-1]

    async def listen():
        hub = Hub(reader, ApiMetrics(CollectorRegistry()))
        first, second = await hub.subscribe("default"), await hub.subscribe("acme")
        hub.leave(first)
        assert not opened[0].is_closed
        hub.leave(second)
        await eventually(lambda: opened[0].is_closed)
        await hub.subscribe("default")
        await hub.close()

    asyncio.run(listen())
    assert [each.is_closed for each in opened] == [True, True]
