"""The whole way on real services: from `mainstem publish` through Kafka and Postgres to what a Backstage shows."""

import json
import uuid

import httpx2
import psycopg
import pytest
import yaml
from confluent_kafka import Producer
from psycopg import conninfo, sql

from mainstem.embedded.ports import free_ports
from schemas.topics import Topics
from sinks.backstage.descriptors import LOCATIONS
from tests.acceptance.running import Up
from tests.backstage.backstage import Backstage, bare
from tests.patience import eventually

SECRET = uuid.uuid4().hex
FILES = 2
CONNECTORS = {"git": 50, "pager": 40, "team-pay": 30}
KINDS = {
    "Component": {"type": "service", "lifecycle": "production", "owner": "team-pay", "system": "payments"},
    "API": {"type": "openapi", "lifecycle": "production", "owner": "team-pay", "definition": "openapi: 3.1.0\n"},
    "Resource": {"type": "database", "owner": "team-pay"},
    "System": {"owner": "team-pay", "domain": "money"},
    "Domain": {"owner": "team-pay"},
    "Group": {"type": "team", "children": []},
    "User": {"memberOf": ["team-pay"]},
}


def described(kind, name, spec=None, **metadata):
    """Return a descriptor, or a part of one."""
    version = "backstage.io/v1alpha1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec or {}}


class Feeding(Up):
    """An installation on the session's services that feeds one Backstage by its module, another by location files."""

    def __init__(self, kafka: str, dsn: str, fed: Backstage, reader: Backstage, port: int) -> None:
        topics = Topics(prefix=f"t{uuid.uuid4().hex[:8]}", partitions=2, replication_factor=1)
        sink = {"enabled": True, "base_url": fed.url, "resync_interval": "1s"}
        secrets = {"SECRET": SECRET, "FED_TOKEN": fed.token, "READER_TOKEN": reader.token}
        refresh = {"base_url": reader.url, "token": {"secret_ref": "env:READER_TOKEN"}, "interval": "1s"}
        config = {
            "kafka": {"bootstrap_servers": kafka},
            "postgres": {"dsn": dsn},
            "topics": {"prefix": topics.prefix, "partitions": 2, "replication_factor": 1},
            "connectors": [
                {"connector_id": name, "type": "external", "priority": priority}
                for name, priority in CONNECTORS.items()
            ],
            "sinks": {"backstage": {**sink, "auth": {"type": "bearer_token", "secret_ref": "env:FED_TOKEN"}}},
            "api": {"locations": {"secret": {"secret_ref": "env:SECRET"}, "shards": FILES, "refresh": refresh}},
        }
        super().__init__(config, environment={**secrets, "MAINSTEM_API__PORT": str(port)})
        self.topics, self._secrets = topics, secrets

    def publish(self, connector, *documents, delete=()):
        """Publish *documents*, as whole as they are, as a person does."""
        file = self.home / "published.yaml"
        file.write_text(yaml.safe_dump_all(documents))
        deletes = [each for ref in delete for each in ("--delete", ref)]
        files = [str(file)] * bool(documents)
        ended = self.run("publish", "--connector", connector, "--partial", *files, *deletes, environment=self._secrets)
        assert ended.returncode == 0, ended.stderr

    def send(self, connector, *documents):
        """Publish *documents* as a program does."""
        producer = Producer({"bootstrap.servers": self.facts["kafka"], "partitioner": "murmur2_random"})
        for each in documents:
            key = f"{each['kind']}:default/{each['metadata']['name']}".lower()
            producer.produce(self.topics.changes(connector), json.dumps({"entity": each}), key)
        assert not producer.flush(30)

    def merged(self):
        """Return every merged entity, as the API tells of it."""
        answer = httpx2.get(f"{self.facts['api']}/v1/entities?limit=500", timeout=20).raise_for_status()
        return {each["entity_ref"]: each["entity"] for each in answer.json()["items"]}


@pytest.fixture(scope="module")
def services(backstage, installed, module, postgres, kafka):
    """Yield the installation, the Backstage that it feeds, and the one that reads its files."""
    name, port = f"test_{uuid.uuid4().hex[:12]}", free_ports(1)[0]
    files = [f"http://127.0.0.1:{port}/backstage/v1/locations/{SECRET}/{number}.yaml" for number in range(FILES)]
    reader = Backstage(installed, module, postgres, files=files)
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    feeding = Feeding(kafka, conninfo.make_conninfo(postgres, dbname=name), backstage, reader, port)
    try:
        reader.launch()
        feeding.start()
        reader.wait_until_ready()
        yield feeding, backstage, reader
    finally:
        feeding.close()
        reader.close()
        with psycopg.connect(postgres, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def feeding(services):
    return services[0]


@pytest.fixture(scope="module")
def fed(services):
    return services[1]


@pytest.fixture(scope="module")
def reader(services):
    return services[2]


def shown(backstage, ref):
    """Return the entity as `GET /api/catalog/entities/by-name` tells of it, less what Backstage adds."""
    entity = backstage.entity(ref)
    return None if entity is None else placeless(bare(entity))


def placeless(entity):
    """Return *entity* without what says by which way it came."""
    metadata = dict(entity["metadata"])
    names = metadata.pop("annotations", {})
    if kept := {name: value for name, value in names.items() if name not in WAY}:
        metadata["annotations"] = kept
    return {**entity, "metadata": metadata}


WAY = (*LOCATIONS, "backstage.io/view-url", "backstage.io/edit-url", "backstage.io/source-location")


def ours(backstage):
    """Return what it shows but for its own locations and the entities of another provider."""
    return {
        ref: placeless(bare(entity))
        for ref, entity in backstage.entities().items()
        if entity["kind"] != "Location" and entity["metadata"].get("description") != "theirs"
    }


def test_what_three_connectors_know_of_a_component_is_one_entity_in_backstage(feeding, fed):
    whole = {"type": "service", "lifecycle": "production", "owner": "team-pay"}
    key = {"acme.com/pager-key": "R0UT1NG"}
    link = {"url": "https://wiki.acme.com/pay", "title": "Runbook"}
    feeding.publish("git", described("Component", "pay", whole, description="Takes the money", tags=["critical"]))
    feeding.publish("pager", described("Component", "pay", annotations=key, description="unheard"))
    feeding.publish("team-pay", described("Component", "pay", {"dependsOn": ["resource:ledger"]}, links=[link]))

    expected = {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {
            "name": "pay",
            "namespace": "default",
            "description": "Takes the money",
            "tags": ["critical"],
            "annotations": key,
            "links": [link],
        },
        "spec": {**whole, "dependsOn": ["resource:ledger"]},
    }
    eventually(lambda: shown(fed, "component:default/pay") == expected, said=lambda: said(feeding, fed))


def said(feeding, backstage):
    return f"{feeding.merged()}\n{ours(backstage)}\n{feeding.tail()}\n{backstage.tail()}"


def test_what_nobody_vouches_for_any_more_is_gone_from_backstage(feeding, fed):
    ref = "component:default/leaves"
    for connector in ("git", "pager"):
        feeding.send(connector, described("Component", "leaves", KINDS["Component"]))
    eventually(lambda: shown(fed, ref), said=lambda: said(feeding, fed))
    feeding.publish("git", delete=[ref])
    feeding.publish("pager", delete=[ref])

    assert eventually(lambda: shown(fed, ref) is None, said=lambda: said(feeding, fed))


def test_both_ways_of_feeding_end_in_the_same_catalogue(feeding, fed, reader):
    documents = [
        described(kind, f"{kind.lower()}-{number}", {**spec, "profile": {}} if kind in {"Group", "User"} else spec)
        for kind, spec in KINDS.items()
        for number in range(3)
    ]
    feeding.send("git", *documents)
    feeding.send("pager", *(described("Component", f"component-{n}", tags=["paged"]) for n in range(2)))

    def are_equal():
        merged = feeding.merged()
        return len(merged) >= len(documents) and ours(fed) == ours(reader) == merged

    assert eventually(are_equal, 90, lambda: f"{said(feeding, fed)}\n{ours(reader)}\n{reader.tail()}")


def test_a_change_is_read_from_the_files_as_soon_as_backstage_was_told(feeding, reader):
    ref = "component:default/told"
    for text in ("first", "second"):
        feeding.send("git", described("Component", "told", KINDS["Component"], description=text))
        eventually(
            lambda text=text: (shown(reader, ref) or {"metadata": {}})["metadata"].get("description") == text,
            said=lambda: said(feeding, reader),
        )


def test_a_sink_that_is_killed_while_it_feeds_loses_nothing(feeding, fed):
    documents = [described("Component", f"many-{number}", KINDS["Component"]) for number in range(100)]
    feeding.send("git", *documents[:70])
    eventually(lambda: any("many-" in ref for ref in fed.mainstems()), said=feeding.tail)
    feeding.send("git", *documents[70:])
    feeding.child("sinks", "run", "backstage").kill()
    feeding.send("git", *(described("Component", f"many-{n}", KINDS["Component"], tags=["late"]) for n in range(5)))

    assert eventually(lambda: ours(fed) == feeding.merged(), 90, lambda: said(feeding, fed)[-8000:])
