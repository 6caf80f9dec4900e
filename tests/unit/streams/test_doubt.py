"""What an owner of a partition makes good that its predecessor published and never wrote as state."""

import orjson
import pytest
from faust.types.tuples import TP
from prometheus_client import CollectorRegistry

from schemas.codec import decode_entity
from schemas.metrics import ProcessorMetrics
from schemas.topics import Topics
from streams.partition import PartitionState
from streams.policy import Policy
from streams.processor import Processor
from streams.rollout import PolicyRecord
from streams.transport import Run
from tests.properties.harness import Arriving, MemoryTable

TOPICS = Topics(partitions=1)
KEY = b"component:default/pay"
ENTITY = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "pay"}}
DELETE = {"op": "delete", "entityRef": "component:default/pay"}


def owned_by(owner):
    return {"entity": {**ENTITY, "spec": {"owner": owner}}}


def published(table, documents, *, offset, is_doubtful):
    """Take *documents* as one run of a new owner; return the owner in each entity that it published, None = gone."""
    state = PartitionState(table, 0, (offset + 1) << 20, is_doubtful=is_doubtful)
    state.is_replaying = is_doubtful
    processor = Processor(TOPICS, Policy(), ProcessorMetrics(CollectorRegistry()))
    topic = TOPICS.changes("git")
    records = [
        Arriving(topic, 0, offset + at, 1_000 + offset + at, KEY, orjson.dumps(document))
        for at, document in enumerate(documents)
    ]
    written = processor.run([Run(TP(topic, 0), offset, records)], state, 2_000)
    for write in written.state:
        table.keep(0, write)
    outputs = [output.value for output in written.outputs.get((TOPICS.entities, 0), ())]
    return [value and decode_entity(value).entity["spec"]["owner"] for value in outputs]


@pytest.mark.parametrize(("is_doubtful", "expected"), [(True, ["a"]), (False, [])])
def test_what_may_have_been_published_meanwhile_is_replaced_although_the_state_says_the_same(is_doubtful, expected):
    table = MemoryTable()
    published(table, [owned_by("a")], offset=0, is_doubtful=False)
    # A predecessor may have published b alone, and ended.
    assert published(table, [owned_by("b"), owned_by("a")], offset=1, is_doubtful=is_doubtful) == expected


@pytest.mark.parametrize(("is_doubtful", "expected"), [(True, [None]), (False, [])])
def test_what_may_have_been_created_meanwhile_is_ended(is_doubtful, expected):
    assert published(MemoryTable(), [owned_by("a"), DELETE], offset=0, is_doubtful=is_doubtful) == expected


def test_what_was_written_by_this_owner_is_not_doubted_any_more():
    table = MemoryTable()
    published(table, [owned_by("a")], offset=5, is_doubtful=True)
    assert published(table, [owned_by("a")], offset=4, is_doubtful=True) == []


def test_a_partition_that_somebody_else_wrote_to_is_doubted_until_it_is_written_anew():
    state = PartitionState(MemoryTable(), 0, 5 << 20)
    state.policy_record = PolicyRecord(fingerprint="in force")
    written = state.next_version()
    assert (state.is_doubted(written), state.is_being_rewritten) == (False, False)
    state.doubt_all()
    assert (state.is_doubted(written), state.is_doubted(state.next_version())) == (True, False)
    assert state.is_being_rewritten
    state.policy_record = PolicyRecord(fingerprint="in force")
    assert not state.is_being_rewritten
