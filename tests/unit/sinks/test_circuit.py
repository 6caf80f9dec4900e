"""The circuit before Backstage, when several shards are spoken of at the same time."""

import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress

import pytest

from schemas.errors import Retriable
from sinks.backstage.circuit import Circuit, Pace
from tests.patience import granted


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def circuit(clock):
    return Circuit(Pace(failures=3, probe_seconds=30.0), clock)


def _open(circuit, clock):
    """Let Backstage fail until it is left alone, and the time of the first probe come."""
    for _ in range(3):
        circuit.failed(circuit.require(), None)
    clock.now += 30.0


def test_what_fails_at_the_same_time_counts_once(circuit):
    for _ in range(2):
        begun = [circuit.require(), circuit.require()]
        for known in begun:
            circuit.failed(known, None)

    assert not circuit.is_open


def test_failures_one_after_the_other_open_it(circuit):
    for _ in range(3):
        circuit.failed(circuit.require(), None)

    with pytest.raises(Retriable, match="asked again in 30 s"):
        circuit.require()


def test_a_success_that_was_begun_before_backstage_asked_to_be_left_alone_does_not_end_that(circuit):
    earlier, later = circuit.require(), circuit.require()
    circuit.failed(later, 20.0)

    is_back = circuit.succeeded(earlier)

    assert (is_back, circuit.seconds_left) == (False, 20.0)


def test_a_success_closes_it(circuit):
    circuit.failed(circuit.require(), None)

    is_back = circuit.succeeded(circuit.require())

    assert (is_back, circuit.succeeded(circuit.require()), circuit.is_open) == (True, False, False)


@contextmanager
def _beside(circuit):
    """Yield what becomes of three that come while a probe is under way, once they had time to go on."""
    with ThreadPoolExecutor(3) as pool:
        others = [pool.submit(circuit.require) for _ in range(3)]
        gone_on, _ = wait(others, timeout=0.2)
        yield gone_on, others


def test_who_comes_while_a_probe_is_under_way_waits_for_its_success(circuit, clock):
    _open(circuit, clock)
    probe = circuit.require()

    with _beside(circuit) as (gone_on, others):
        circuit.succeeded(probe)

    assert (gone_on, [each.exception() or each.result() for each in others]) == (set(), [probe] * 3)


def test_who_comes_while_a_probe_is_under_way_fails_with_it(circuit, clock):
    _open(circuit, clock)
    probe = circuit.require()

    with _beside(circuit) as (gone_on, others):
        circuit.failed(probe, None)

    assert (gone_on, {type(each.exception()) for each in others}) == (set(), {Retriable})


def test_who_waits_for_a_probe_that_gets_no_answer_gives_up_after_a_moment(clock):
    circuit = Circuit(Pace(failures=3, probe_seconds=30.0, answer_seconds=0.05), clock)
    _open(circuit, clock)
    circuit.require()

    with pytest.raises(Retriable, match="asked again in 30 s"):
        circuit.require()


def test_what_was_begun_before_the_circuit_opened_does_not_end_a_probe(circuit, clock):
    earlier = circuit.require()
    _open(circuit, clock)
    probe = circuit.require()

    with _beside(circuit) as (gone_on, others):
        circuit.failed(earlier, None)
        still_waiting = [each for each in others if not each.done()]
        circuit.succeeded(probe)

    assert (gone_on, len(still_waiting), [each.result() for each in others]) == (set(), 3, [probe] * 3)


def test_a_probe_of_which_nobody_hears_is_followed_by_another():
    circuit = Circuit(Pace(failures=1, probe_seconds=0.05), time.monotonic)
    circuit.failed(circuit.require(), None)
    deadline, probes = granted() + 10.0, []

    while len(probes) < 2 and granted() < deadline:
        with suppress(Retriable):
            probes.append(circuit.require())

    assert probes == [1, 1]
