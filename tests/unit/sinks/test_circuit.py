"""The circuit before Backstage, when several shards are spoken of at the same time."""

import pytest

from schemas.errors import Retriable
from sinks.backstage.circuit import Circuit, Pace


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


def test_of_several_that_come_when_a_probe_is_due_one_probes(circuit, clock):
    _open(circuit, clock)

    circuit.require()

    for _ in range(3):
        with pytest.raises(Retriable, match="asked again in 30 s"):
            circuit.require()


def test_a_probe_that_never_ends_is_followed_by_another(circuit, clock):
    _open(circuit, clock)
    circuit.require()
    clock.now += 30.0

    known = circuit.require()

    assert (circuit.succeeded(known), circuit.seconds_left) == (True, 0.0)


def test_a_probe_that_succeeds_lets_everybody_ask(circuit, clock):
    _open(circuit, clock)

    circuit.succeeded(circuit.require())

    assert [circuit.require(), circuit.require()] == [3, 3]
