"""Dead letters of a running installation, replayed through its processor."""

import json
import time

import pytest
from confluent_kafka import Producer

from schemas.dead_letters import dead_letter_headers
from schemas.errors import ValidationError
from tests.integration.kill.kafka_io import produce_and_wait
from tests.patience import eventually

FIRST = "mainstem.changes.letters/3/123456"


@pytest.fixture
def listed(installation):
    """Return a function that lists the dead letters of the connector."""

    def rows(*filters):
        ended = installation.run("dead-letters", "list", "--json", "--connector", "letters", *filters)
        assert ended.returncode == 0, ended.stderr
        return [json.loads(line) for line in ended.stdout.splitlines()]

    return rows


def test_a_replayed_change_is_merged_and_keeps_its_origin(installation, listed):
    then = int(time.time() * 1000) - 3_600_000
    entity = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "replayed"}}
    value, key = json.dumps({"entity": entity, "spec": {}}).encode(), b"component:default/replayed"
    headers = dead_letter_headers(
        ValidationError(("/entity/spec", "is missing")), stage="validate", origin=FIRST, timestamp=then, attempts=1
    )
    producer = Producer({"bootstrap.servers": installation.facts["kafka"]})
    produce_and_wait(producer, "mainstem.dead-letters", value, key, headers=headers)

    ended = installation.run("dead-letters", "replay", "--connector", "letters", "--key", "*replayed", "--yes")
    assert (ended.returncode, ended.stderr) == (0, "1 dead letter to replay\n")
    installation.entity("component:default/replayed")
    query = "SELECT change_id, last_touched FROM entity_records WHERE entity_ref = %(ref)s"
    (record,) = eventually(lambda: installation.rows(query, ref=key.decode()))
    assert (record["change_id"], round(record["last_touched"].timestamp() * 1000)) == (FIRST, then)
    assert listed("--key", "*replayed") == []


def test_a_change_that_fails_again_names_its_first_origin(installation, listed):
    sent = installation.sender()("letters", b"{no json", b"again")
    (first,) = eventually(lambda: listed("--key", "again"))
    ended = installation.run("dead-letters", "replay", first["id"])
    assert ended.returncode == 0, ended.stderr
    (second,) = eventually(lambda: listed("--key", "again"))
    assert second["id"] != first["id"]
    assert second["origin"] == first["origin"]
    assert "{topic}/{partition}/{offset}".format(**second["origin"]) == sent.origin
    assert [row["decision"] and row["decision"]["verdict"] for row in listed("--key", "again", "--all")].count(
        "replayed"
    ) == 1
