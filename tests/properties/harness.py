"""One installation in memory: the real Processor over in-memory partitions, on a clock that is set by hand."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
from aiokafka.partitioner import murmur2
from faust.types import TP
from prometheus_client.registry import CollectorRegistry

from schemas.codec import _encode, decode_entity, decode_records
from schemas.metrics import ProcessorMetrics
from schemas.topics import OUTAGES_KEY, Topics
from streams import registry
from streams.merge import merge
from streams.partition import PartitionState
from streams.policy import ConnectorPolicy, Policy
from streams.processor import Processor
from streams.rules import Rule
from streams.table import StateWrite, Stored
from streams.transport import Run
from tests.oracle import RefusedError, Said, World, understand


def policy_of(world: World) -> Policy:
    connectors = {
        name: ConnectorPolicy(
            tenant=one.tenant,
            priority=one.priority,
            ttl=one.ttl,
            grace=one.grace,
            max_stale=one.max_stale,
            asserts_existence=one.asserts_existence,
            is_complete=one.complete,
        )
        for name, one in world.connectors.items()
    }
    rules = tuple(
        Rule(
            path=rule.path,
            name=rule.strategy,
            strategy=registry.create(rule.strategy, rule.options),
            kinds=None if rule.kinds is None else frozenset(rule.kinds),
        )
        for rule in world.rules
    )
    outages = {name: tuple(of) for name, of in world.outages.items()}
    return Policy(connectors=connectors, outages=outages, rules=rules)


def partition_of(key: bytes, partitions: int) -> int:
    return (murmur2(key) & 0x7FFFFFFF) % partitions


@dataclass
class Arriving:
    """What the consumer hands over, as aiokafka's ConsumerRecord."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list = field(default_factory=list)


class MemoryTable:
    def __init__(self) -> None:
        self.states: dict[tuple[int, bytes], Stored] = {}

    def stored(self, partition: int, keys: Sequence[bytes]) -> list[Stored | None]:
        return [self.states.get((partition, key)) for key in keys]

    def keep(self, partition: int, write: StateWrite) -> None:
        """As the engine does once the broker has answered."""
        before = self.states.pop((partition, write.key), None)
        assert write.deadline_before == (before.deadline if before else float("inf"))
        if write.value is not None:
            self.states[partition, write.key] = Stored(write.value, write.deadline_after)


def json_value(document: dict) -> bytes:
    return orjson.dumps(document)


def avro_value(document: dict) -> bytes:
    """As a publisher in Avro would send it: nulls are absent there, but for ttlSeconds."""
    fields = {"op": "upsert", "ttlSeconds": "CONNECTOR"}
    for name, value in document.items():
        if name in ("entity", "service"):
            fields[name] = orjson.dumps(value).decode()
        elif value is not None or name == "ttlSeconds":
            fields[name] = value
    return _encode("Change.avsc", fields)


class Installation:
    """Feeds changes to the Processor and keeps what it published, forwarded, set aside and holds."""

    def __init__(self, world: World, *, partitions: int = 2, now: int = 0) -> None:
        self.world = world
        self.now = now
        self.topics = Topics(partitions=partitions)
        self.registry = CollectorRegistry()
        self.metrics = ProcessorMetrics(self.registry)
        self.processor = Processor(self.topics, policy_of(world), self.metrics)
        self.table = MemoryTable()
        self.states = [PartitionState(self.table, number, 0) for number in range(partitions)]
        self.history: dict[bytes, list] = {}
        self.vanished: dict[bytes, list] = {}
        self.versions: dict[int, list[int]] = {}  # of all that was published, in order, per partition
        self.dead_letters: list = []
        self.forwarded: list = []
        self.offsets: Counter = Counter()

    # -- in

    def arrival(self, said: Said, *, avro: bool = False) -> Arriving:
        """Return *said* as its publisher sends it: under its entity's key, on that key's partition."""
        try:
            key = understand(said, self.world.of(said.connector)).key.encode()
        except RefusedError:
            key = b"component:default/refused"
        value = (avro_value if avro else json_value)(said.document)
        topic, partition = self.topics.changes(said.connector), partition_of(key, self.topics.partitions)
        self.offsets[topic, partition] += 1
        return Arriving(topic, partition, self.offsets[topic, partition], said.timestamp, key, value)

    def take(self, arrivals: list[Arriving]) -> None:
        """Process *arrivals* now: the runs of a partition, one of each topic, are merged as one."""
        runs: dict[TP, list] = {}
        for arrival in arrivals:
            runs.setdefault(TP(arrival.topic, arrival.partition), []).append(arrival)
        for state in self.states:
            together = [
                Run(tp=tp, begins=records[0].offset, records=records)
                for tp, records in runs.items()
                if tp.partition == state.partition
            ]
            if together:
                self._keep(state.partition, self.processor.run(together, state, self.now))

    def say(self, said: list[Said], *, avro: bool = False) -> None:
        self.take([self.arrival(one, avro=avro) for one in said])

    def hear(self, op: str, connector: str, at: float) -> None:
        """Let *connector* say of itself that it cannot reach its source, or can again: to every partition."""
        topic, value = self.topics.changes(connector), json_value({"op": op, "observedAt": int(at)})
        for state in self.states:
            self.offsets[topic, state.partition] += 1
            offset = self.offsets[topic, state.partition]
            self.take([Arriving(topic, state.partition, offset, int(at), connector.encode(), value)])

    def configure(self, world: World) -> None:
        """Go on with other settings, as a worker that was started anew."""
        self.world = world
        self.processor = Processor(self.topics, policy_of(world), self.metrics)

    def roll_out(self) -> None:
        """Merge everything that is held anew, as the engine does when the policy or the outages changed."""
        for state in self.states:
            keys = [key for partition, key in self.table.states if partition == state.partition]
            self._keep(state.partition, self.processor.merge_anew(keys, state, self.now))

    def let_pass(self, seconds: float) -> None:
        """Let time pass while no sweep comes to see it."""
        self.now += round(seconds * 1000)

    def wait(self, seconds: float = 0) -> None:
        """Let time pass and merge what became due."""
        self.let_pass(seconds)
        for _ in range(2):  # a second sweep must find nothing left
            for state in self.states:
                keys = [
                    key
                    for (partition, key), stored in self.table.states.items()
                    if partition == state.partition and stored.deadline <= self.now
                ]
                self._keep(state.partition, self.processor.merge_anew(keys, state, self.now))
        assert not [stored for stored in self.table.states.values() if stored.deadline <= self.now]

    # -- out

    def _keep(self, partition: int, written) -> None:
        for (topic, to), outputs in written.outputs.items():
            for output in outputs:
                if topic == self.topics.entities:
                    assert to == partition == partition_of(output.key, self.topics.partitions)
                    entity = None if output.value is None else decode_entity(output.value)
                    version = entity.version if entity else int(dict(output.headers)["version"])
                    self.versions.setdefault(partition, []).append(version)
                    self.history.setdefault(output.key, []).append(entity)
                    if entity is None:
                        self.vanished.setdefault(output.key, []).append(list(output.headers))
                elif topic == self.topics.dead_letters:
                    self.dead_letters.append(output)
                else:
                    self.forwarded.append((topic, to, output))
        for write in written.state:
            if write.key != OUTAGES_KEY:
                self.table.keep(partition, write)

    @property
    def entities(self) -> dict[str, dict]:
        """What a reader of the compacted topic sees, in the oracle's shape."""
        return {key.decode(): shown(history[-1]) for key, history in self.history.items() if history[-1] is not None}

    def merged(self, policy: Policy, now: float) -> dict[str, dict]:
        """Merge the held records anew under another policy, at another moment."""
        found = {key.decode(): merge(records.values(), policy, now=now) for key, records in self.held.items()}
        return {key: shown(entity) for key, entity in found.items() if entity is not None}

    @property
    def held(self) -> dict[bytes, dict]:
        """The records by key and connector."""
        return {key: decode_records(stored.value).by_connector for (_, key), stored in self.table.states.items()}

    def count(self, name: str, **labels: str) -> int:
        """Sum a metric over all its samples that carry *labels*."""
        return int(
            sum(
                sample.value
                for metric in self.registry.collect()
                for sample in metric.samples
                if sample.name == name and labels.items() <= sample.labels.items()
            )
        )


def shown(entity) -> dict:
    """Return a merged entity in the oracle's shape."""
    return {
        "entity": entity.entity,
        "service": entity.service,
        "provenance": entity.provenance,
        "stale": list(entity.stale),
        "contentHash": entity.content_hash,
    }
