"""When a partition that is read anew has been read as a whole."""

import pytest

from sinks.rebuilding import FRESH_SECONDS, GapError, Rebuilding

AT = ("mainstem.entities", 3)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_an_empty_partition_is_read_at_once():
    assert Rebuilding({AT: 5}).is_finished(AT, 5, lambda _: (5, 5))


def test_a_partition_is_read_at_its_end():
    rebuilding = Rebuilding({AT: 0})
    found = [rebuilding.is_finished(AT, position, lambda _: (0, 10)) for position in (3, 9, 10)]
    assert found == [False, False, True]


def test_an_end_that_was_looked_at_long_ago_is_looked_at_again():
    clock = Clock()
    rebuilding = Rebuilding({AT: 0}, clock=clock)
    assert not rebuilding.is_finished(AT, 1, lambda _: (0, 10))
    clock.now += FRESH_SECONDS + 1
    assert not rebuilding.is_finished(AT, 10, lambda _: (0, 12))
    clock.now += 1
    assert rebuilding.is_finished(AT, 12, lambda _: (0, 13))


def test_records_that_were_removed_meanwhile_are_a_gap():
    with pytest.raises(GapError):
        Rebuilding({AT: 0}).is_finished(AT, 10, lambda _: (4, 10))
