"""The circuit before Backstage, when several shards are spoken of at the same time."""

import pytest

from schemas.errors import Retriable
from sinks.backstage.circuit import Circuit, Pace


@pytest.fixture
def circuit():
    return Circuit(Pace(failures=3, probe_seconds=30.0), lambda: 100.0)


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
