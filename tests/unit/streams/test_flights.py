"""Which runs are merged as one."""

from types import SimpleNamespace

from faust.types.tuples import TP

from streams.crashes import SPANS
from streams.flights import JOINED_RECORDS, next_together
from streams.transport import RUN_BYTES, Run


def run(topic, partition=0, *, begins=0, count=1, size=1):
    records = [SimpleNamespace(offset=begins + at, value=b"x" * size) for at in range(count)]
    return Run(TP(topic, partition), begins, records)


def joined(waiting, *, alone=()):
    """Return the (topic, first offset) pairs of each group of *waiting* in turn."""
    groups = []
    while waiting:
        group = next_together(waiting, lambda run: run.tp.topic in alone)
        groups.append([(each.tp.topic, each.begins) for each in group])
    return groups


def test_the_next_run_of_each_topic_of_a_partition_is_merged_with_the_first():
    waiting = [run("a"), run("a", begins=5), run("b", partition=1), run("b"), run("a", begins=9), run("b", begins=5)]
    assert joined(waiting) == [[("a", 0), ("b", 0)], [("a", 5), ("b", 5)], [("b", 0)], [("a", 9)]]


def test_what_may_have_ended_the_process_is_merged_alone():
    waiting = [run("a"), run("b"), run("c"), run("b", begins=1)]
    assert joined(waiting, alone=("b",)) == [[("a", 0), ("c", 0)], [("b", 0)], [("b", 1)]]


def test_together_they_are_no_larger_than_may_be_in_flight():
    many = [run("a", count=JOINED_RECORDS - 1), run("b", count=2), run("c"), run("b", begins=2)]
    large = [run("a", size=RUN_BYTES), run("b")]
    topics = [run(f"t{number}") for number in range(SPANS + 1)]
    assert [len(joined(each)) for each in (many, large, topics)] == [3, 2, 2]
