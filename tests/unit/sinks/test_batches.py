"""A batch that holds a record nobody can write, carried on by a sink as a third party would write it."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Retriable, Skippable
from sinks.backoff import FIRST, LONGEST, pauses
from sinks.base import Delivery, Limits, Positions, Sink, SinkSettings
from sinks.batches import Batch, ends, isolate


class ListSink(Sink):
    """Keeps values in a list; cannot keep the value `poison`."""

    def __init__(self, settings: SinkSettings) -> None:
        super().__init__(settings)
        self.kept: list[int] = []
        self.calls = 0

    def write(self, batch: Sequence[Delivery], positions: Positions) -> None:
        del positions
        self.calls += 1
        if any(delivery.value == b"poison" for delivery in batch):
            raise Skippable("poison")
        self.kept += [delivery.offset for delivery in batch]


def delivery(offset: int, value: bytes | None = b"good", *, key: bytes = b"component:default/pay") -> Delivery:
    return Delivery(topic="t", partition=0, offset=offset, key=key, value=value, headers=[], timestamp=0)


def run(batch: Sequence[Delivery]) -> tuple[ListSink, list[int]]:
    sink, poisons = ListSink(SinkSettings(name="list", client={})), []
    isolate(batch, lambda part: sink.write(part, ends(part)), lambda poison, _: poisons.append(poison.offset))
    return sink, poisons


@given(st.sets(st.integers(0, 59)), st.integers(1, 60))
def test_every_poison_is_set_aside_and_every_other_record_is_written_once_in_order(poisons, count):
    batch = [delivery(offset, b"poison" if offset in poisons else b"good") for offset in range(count)]
    sink, found = run(batch)
    expected = ([n for n in range(count) if n not in poisons], [n for n in range(count) if n in poisons])
    assert expected == (sink.kept, found)


def test_one_poison_among_five_hundred_costs_few_calls():
    sink, _ = run([delivery(offset, b"poison" if offset == 333 else b"good") for offset in range(500)])
    assert sink.calls <= 2 * 10


def test_a_fault_that_may_pass_leaves_the_halving():
    def away(_: Sequence[Delivery]) -> None:
        raise Retriable("away")

    with pytest.raises(Retriable):
        isolate([delivery(0)], away, lambda *_: None)


def test_a_batch_is_full_at_its_number_of_records():
    batch = Batch(Limits(records=2))
    batch.add(delivery(0))
    before = batch.is_full
    batch.add(delivery(1))
    assert (before, batch.is_full) == (False, True)


def test_a_batch_is_full_at_its_size():
    batch = Batch(Limits(size=30))
    batch.add(delivery(0, b"x" * 30))
    assert batch.is_full


def test_keys_of_the_processor_are_passed_over_and_never_delivered():
    batch = Batch(Limits())
    batch.add(delivery(0))
    batch.add(delivery(7, key=b"\x00epoch"))
    assert ([found.offset for found in batch.deliveries], batch.ends) == ([0], {("t", 0): 8})


def test_a_key_of_the_processor_that_a_sink_asks_for_is_delivered():
    batch = Batch(Limits(), frozenset({b"\x00outages"}))
    batch.add(delivery(0, key=b"\x00outages"))
    batch.add(delivery(1, key=b"\x00epoch"))
    assert [found.offset for found in batch.deliveries] == [0]


def test_pauses_double_up_to_the_longest_and_are_shortened_by_up_to_half():
    longest = [pause for pause, _ in zip(pauses(lambda: 1.0), range(12), strict=False)]
    shortest = [pause for pause, _ in zip(pauses(lambda: 0.0), range(12), strict=False)]
    assert (FIRST, LONGEST, [pause / 2 for pause in longest]) == (longest[0], longest[-1], shortest)


def test_of_headers_with_one_name_the_last_counts():
    found = Delivery(
        topic="t", partition=0, offset=0, key=b"", value=None, headers=[("a", b"1"), ("a", None)], timestamp=0
    )
    assert found.header("a") is None
