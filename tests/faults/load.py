"""What is published while faults are injected: drawn from a seed, without end."""

import json
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

from confluent_kafka import KafkaError

from schemas.topics import FORWARDED_FROM
from tests import oracle
from tests.faults.installed import Installed
from tests.faults.poison import draw_poison
from tests.integration.kill.changes import CONNECTORS, POLICY, Drawn
from tests.integration.kill.kafka_io import Published, Publisher

KEYS = 300
KINDS = ("Component", "API", "Group", "Resource")
LIVES = (2, 3, 5, 8)
"""Seconds of the changes that end while somebody looks."""
TEN_YEARS_MS = 3650 * 24 * 60 * 60 * 1000


def configured() -> list[dict[str, Any]]:
    """Return the connectors of the configuration: those of the kill test, so that its oracle counts here too."""
    return [
        {
            "connector_id": name,
            "type": "external",
            "priority": policy.priority,
            "asserts_existence": policy.asserts_existence,
            **({} if policy.ttl == oracle.FOREVER else {"ttl": int(policy.ttl)}),
        }
        for name, policy in POLICY.connectors.items()
    ]


def draw(rng: random.Random) -> Iterator[Drawn]:
    """Yield changes: most are right, some misplaced, some short-lived, some from a strange clock, a few are none."""
    number = 0
    while True:
        number += 1
        connector = rng.choice(CONNECTORS)
        entity = rng.randrange(KEYS)
        kind = KINDS[entity % len(KINDS)]
        ref = f"{kind.lower()}:default/e-{entity}"
        way = rng.choices(("right", "crc32", "null-key", "wrong-key", "poison"), (92, 3, 1, 2, 2))[0]
        if way == "poison":
            key, value = draw_poison(rng, number)
            yield Drawn(connector, "", key, value, (), way)
            continue
        key = {"null-key": None, "wrong-key": b"misplaced"}.get(way, ref.encode())
        document = {**_document(rng, connector, kind, ref, number), **_moment(rng, connector, number)}
        value = json.dumps(document).encode()
        if "entity" in document and rng.random() < 0.02:  # of keys that stand twice the last counts
            value = b'{"entity": {"kind": "Nobody"}, ' + value[1:]
        headers = (("traced", b"%d" % number),) if number % 7 == 0 else ()
        yield Drawn(connector, ref, key, value, headers, way)


def _moment(rng, connector, number):
    """One connector has no versions, and its clock may be ten years off; what it says then never dies of it."""
    if connector != "cmdb":
        return {"version": number}
    away = rng.choices((0, TEN_YEARS_MS, -TEN_YEARS_MS), (96, 2, 2))[0]
    return {"observedAt": _now_ms() + away, "ttlSeconds": None} if away else {}


def _document(rng, connector, kind, ref, number):
    if rng.random() < 0.2:
        return {"op": "delete", "entityRef": ref}
    name = ref.partition("/")[2]
    metadata = {
        "name": rng.choice((name, name, name.upper())),
        "annotations": {f"acme.com/{connector}": str(number), "acme.com/shared": connector},
        "tags": rng.sample(("java", "go", "python", "edge"), rng.randrange(4)),
        "links": [{"url": f"https://{rng.randrange(5)}.example", "title": connector}],
    }
    spec = {"type": rng.choice(("service", "library")), "owner": rng.choice((f"team-{rng.randrange(20)}", None))}
    if kind == "Group":
        spec["children"] = []
    if kind == "Component":  # everybody depends on everybody, and on itself
        spec["dependsOn"] = [f"component:e-{rng.randrange(KEYS)}", ref]
    entity = {"apiVersion": "backstage.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
    document = {"entity": entity, "service": {"tier": rng.choice(("tier1", "tier2", None))}}
    return {**document, "ttlSeconds": rng.choice(LIVES)} if rng.random() < 0.08 else document


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def last_deadline(published: list[Published]) -> float:
    """Return the epoch seconds after which nothing of *published* ends for an hour."""
    return max((one.timestamp / 1000 + max(LIVES) for one in published), default=0.0)


class DoubtfulPublisher(Publisher):
    """A publisher whose broker may fail: what was not acknowledged counts if it lies in the topic all the same."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.doubtful: list[Drawn] = []

    def not_acknowledged(self, drawn: Drawn, error: KafkaError) -> None:
        del error
        self.doubtful.append(drawn)

    def find_doubtful(self, installed: Installed) -> None:
        """Add what is in the topics to what was published. Call when nothing is under way any more."""
        wanted = {(each.connector, each.key, each.value): each for each in self.doubtful}
        known = {each.origin(installed.topics) for each in self.published}
        for connector in {each.connector for each in self.doubtful}:
            for message in installed.read(installed.topics.changes(connector)):
                found = wanted.get((connector, message.key(), message.value()))
                origin = f"{message.topic()}/{message.partition()}/{message.offset()}"
                if found and origin not in known and FORWARDED_FROM not in dict(message.headers() or ()):
                    place = (message.partition(), message.offset(), message.timestamp()[1])
                    self.published.append(Published(found, *place))


class Load(threading.Thread):
    """Publishes until told to stop; fails where something was not acknowledged."""

    def __init__(self, publisher: Publisher, rate: float) -> None:
        super().__init__(daemon=True)
        self._publisher = publisher
        self._rate = rate
        self._enough = threading.Event()
        self._fault: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._enough.is_set():
                # A publish flushes, and waits for a broker that is away.
                self._publisher.publish(int(self._rate), self._rate)
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            self._fault = error

    def finish(self) -> None:
        self._enough.set()
        self.join(120)
        assert not self.is_alive(), "Kafka did not acknowledge what was published"
        if self._fault is not None:
            raise self._fault
