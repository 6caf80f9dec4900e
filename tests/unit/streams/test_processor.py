"""What the processor says is to be written, where random changes would rarely lead."""

import orjson
import pytest
import structlog
from faust.types.tuples import TP
from prometheus_client import CollectorRegistry

from schemas.codec import decode_entity
from schemas.metrics import ProcessorMetrics
from schemas.topics import Topics
from streams.partition import PartitionState
from streams.policy import ConnectorPolicy, Policy
from streams.processor import Processor
from streams.transport import Run
from tests.properties.harness import Arriving, MemoryTable

TOPICS = Topics(partitions=1)
KEY = b"component:default/pay"


def change(**spec):
    entity = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "pay"}, "spec": spec}
    return orjson.dumps({"entity": entity})


def arriving(connector, offset, value, *, key=KEY, headers=()):
    return Arriving(TOPICS.changes(connector), 0, offset, 1_000 + offset, key, value, headers)


class Worker:
    """A processor over a table in memory, started anew with another policy as often as wanted."""

    def __init__(self):
        self.table = MemoryTable()
        self.state = PartitionState(self.table, 0, 0)

    def take(self, arrived, **priorities):
        connectors = {name: ConnectorPolicy(priority=value) for name, value in priorities.items()}
        return self.take_under(Policy(connectors=connectors), arrived)

    def take_under(self, policy, arrived):
        processor = Processor(TOPICS, policy, ProcessorMetrics(CollectorRegistry()))
        run = Run(TP(arrived.topic, 0), arrived.offset, [arrived])
        written = processor.run([run], self.state, 2_000 + arrived.offset)
        for write in written.state:
            self.table.keep(0, write)
        return written.outputs


def test_what_is_too_large_to_be_forwarded_is_a_dead_letter():
    headers = (("padding", b"x" * 1_048_588),)
    outputs = Worker().take(arriving("git", 0, change(), key=b"another", headers=headers))
    assert list(outputs) == [(TOPICS.dead_letters, 0)]


def test_an_entity_that_was_published_under_another_policy_is_told_as_changed():
    worker = Worker()
    worker.take(arriving("git", 0, change(owner="a")), git=10, cmdb=50)
    worker.take(arriving("cmdb", 1, change(owner="b")), git=10, cmdb=50)
    outputs = worker.take(arriving("cmdb", 2, change(owner="c")), git=100, cmdb=50)
    merged = decode_entity(outputs[TOPICS.entities, 0][0].value)
    assert (merged.entity["spec"]["owner"], merged.changed) == ("a", [""])


@pytest.mark.parametrize("tags", [["a", "b"], ["b", "a"]], ids=["as it is published", "otherwise"])
def test_what_changed_of_an_entity_that_one_connector_knows_is_told_by_a_process_that_never_saw_it(tags):
    worker, pair = Worker(), ({"a/x": "1", "b": "2"}, {"a/x": "1", "b": "3"})
    for offset, annotations in enumerate(pair):
        document = orjson.loads(change(owner="a"))
        document["entity"]["metadata"] |= {"annotations": annotations, "tags": tags}
        document["service"] = {"tier": "1"} if offset else {}
        outputs = worker.take(arriving("git", offset, orjson.dumps(document)))
    merged = decode_entity(outputs[TOPICS.entities, 0][0].value)
    assert merged.changed == ["/metadata/annotations/b", "/service/tier"]


def test_two_tenants_entities_of_one_name_are_two():
    worker, keys = Worker(), [b"acme|" + KEY, KEY]
    policy = Policy(connectors={"git": ConnectorPolicy(tenant="acme"), "cmdb": ConnectorPolicy()})
    for offset, (connector, key) in enumerate(zip(("git", "cmdb"), keys, strict=True)):
        worker.take_under(policy, arriving(connector, offset, change(), key=key))
    assert [key for _, key in worker.table.states] == keys


@pytest.mark.parametrize(
    ("key", "told"), [(b"git", []), (b"cmdb", ["control.wrong_key"]), (None, ["control.wrong_key"])]
)
def test_a_control_record_under_another_key_is_obeyed_and_told(key, told):
    worker = Worker()
    word = orjson.dumps({"op": "outage", "observedAt": 1_000})
    with structlog.testing.capture_logs() as logs:
        outputs = worker.take(arriving("git", 0, word, key=key), git=1)
    assert ([each["event"] for each in logs], list(outputs)) == (told, [])
    assert worker.state.outages.lasting == {"git"}
