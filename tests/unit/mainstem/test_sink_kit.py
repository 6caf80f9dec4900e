"""The shipped kit for sinks: right ones pass, and each way of being wrong is caught by a promise."""

from contextlib import contextmanager

import pytest

from mainstem.testing.sinks import FAULT_PROMISES, PROMISES, Applied, SinkSubject
from schemas.entities import Vanished
from schemas.errors import DecodeError, Retriable
from sinks.base import Sink, SinkSettings
from sinks.entities import read_entity

SETTINGS = SinkSettings(name="kit", client={})
EVERY_PROMISE = PROMISES + FAULT_PROMISES


class Target:
    """A system in memory: it outlives the sinks that write to it."""

    def __init__(self):
        self.rows = {}
        self.told = []
        self.positions = {}
        self.is_away = False

    @contextmanager
    def outage(self):
        self.is_away = True
        yield
        self.is_away = False


class StateSink(Sink):
    """Keeps the highest version of each entity, and its positions with it."""

    def __init__(self, target):
        super().__init__(SETTINGS)
        self.target = target

    def write(self, batch, positions):
        told = self.understood(batch)
        if self.target.is_away:
            raise Retriable("away")
        for each in told:
            self.keep(each)
        self.target.positions |= positions

    def understood(self, batch):
        return [read_entity(delivery) for delivery in batch]

    def keep(self, told):
        before = self.target.rows.get(told.entity_ref)
        if before is None or before.version < told.version:
            content = None if isinstance(told, Vanished) else told.entity
            self.target.rows[told.entity_ref] = applied(told, content)

    def stored_positions(self, partitions):
        return {each: offset for each, offset in self.target.positions.items() if each in partitions}


class LogSink(StateSink):
    """Tells every version, and leaves positions to the group."""

    def keep(self, told):
        content = None if isinstance(told, Vanished) else told.entity
        if all(found.entity_ref != told.entity_ref or found.version < told.version for found in self.target.told):
            self.target.told.append(applied(told, content))

    def stored_positions(self, partitions):
        del partitions


def applied(told, content):
    return Applied(entity_ref=told.entity_ref, version=told.version, content=content)


class Unfenced(StateSink):
    def keep(self, told):
        self.target.rows.pop(told.entity_ref, None)
        super().keep(told)


class ForgetsEnds(StateSink):
    def keep(self, told):
        super().keep(told)
        if isinstance(told, Vanished):
            del self.target.rows[told.entity_ref]


class InsertsOnly(StateSink):
    def keep(self, told):
        before = self.target.rows.get(told.entity_ref)
        assert before is None or before.version < told.version, "there is such a row already"
        super().keep(told)


class IgnoresEnds(StateSink):
    def keep(self, told):
        if not isinstance(told, Vanished):
            super().keep(told)


class Backwards(LogSink):
    def understood(self, batch):
        return super().understood(batch)[::-1]


class LastOfBatch(StateSink):
    def understood(self, batch):
        return super().understood(batch)[-1:]


class SwallowsPoison(StateSink):
    def understood(self, batch):
        told = []
        for delivery in batch:
            try:
                told.append(read_entity(delivery))
            except DecodeError:
                continue
        return told


class PoisonSpoilsTheBatch(StateSink):
    def write(self, batch, positions):
        try:
            super().write(batch, positions)
        except DecodeError:
            return


class Unclassified(StateSink):
    def understood(self, batch):
        try:
            return super().understood(batch)
        except DecodeError as error:
            raise ValueError from error


class PositionsFirst(StateSink):
    """Stores where it will be, before it is there."""

    def write(self, batch, positions):
        self.target.positions |= {partition: offset + 5 for partition, offset in positions.items()}
        super().write(batch, positions)
        self.target.positions |= {partition: offset + 5 for partition, offset in positions.items()}


class ForgetsEmptyBatches(StateSink):
    def write(self, batch, positions):
        if batch:
            super().write(batch, positions)


class Buffers(StateSink):
    """Keeps what it was given to itself until it is closed."""

    def __init__(self, target):
        super().__init__(target)
        self.kept = []

    def write(self, batch, positions):
        self.kept += self.understood(batch)
        self.target.positions |= positions

    def close(self):
        for told in self.kept:
            self.keep(told)


class Drops(StateSink):
    """Takes an outage for the end of its duty."""

    def write(self, batch, positions):
        if not self.target.is_away:
            super().write(batch, positions)


class CannotCloseUnopened(StateSink):
    def write(self, batch, positions):
        self.opened = True
        super().write(batch, positions)

    def close(self):
        assert self.opened


def subject(kind, **options):
    target = Target()
    is_log = issubclass(kind, LogSink)
    return SinkSubject(
        make=lambda: kind(target),
        applied=lambda: target.told if is_log else list(target.rows.values()),
        keeps_history=is_log,
        outage=target.outage,
        **options,
    )


def broken_promises(kind):
    found = []
    for promise in EVERY_PROMISE:
        try:
            promise(subject(kind))
        except (AssertionError, AttributeError, ValueError):
            found.append(promise.__name__)
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", [StateSink, LogSink])
@pytest.mark.parametrize("promise", EVERY_PROMISE, ids=lambda promise: promise.__name__)
def test_a_right_sink_keeps_every_promise(promise, kind, seed):
    promise(subject(kind, seed=seed))


@pytest.mark.parametrize(
    ("kind", "caught_by"),
    [
        (Unfenced, "reading_all_anew_reverts_nothing"),
        (InsertsOnly, "a_repeated_batch_changes_nothing"),
        (ForgetsEnds, "reading_all_anew_reverts_nothing"),
        (IgnoresEnds, "applies_each_version_once_and_in_order"),
        (Backwards, "applies_each_version_once_and_in_order"),
        (LastOfBatch, "applies_each_version_once_and_in_order"),
        (SwallowsPoison, "poison_is_set_aside_alone"),
        (PoisonSpoilsTheBatch, "poison_is_set_aside_alone"),
        (Unclassified, "poison_is_set_aside_alone"),
        (PositionsFirst, "a_crash_loses_and_reverts_nothing"),
        (ForgetsEmptyBatches, "stored_positions_follow_what_was_written"),
        (Buffers, "applies_each_version_once_and_in_order"),
        (Drops, "an_outage_is_waited_out"),
        (CannotCloseUnopened, "close_may_come_at_any_time"),
    ],
)
def test_each_way_of_being_wrong_is_caught(kind, caught_by):
    assert caught_by in broken_promises(kind)


def test_what_is_expected_of_the_content_is_the_subjects_to_say():
    class Owners(StateSink):
        def keep(self, told):
            content = None if isinstance(told, Vanished) else told.entity["spec"]["owner"]
            self.target.rows[told.entity_ref] = applied(told, content)

    target = Target()
    owners = SinkSubject(
        make=lambda: Owners(target),
        applied=lambda: list(target.rows.values()),
        expected=lambda entity: entity.entity["spec"]["owner"],
    )

    PROMISES[0](owners)

    assert {found.content for found in target.rows.values()} == {"team-pay", None}
