"""The sink `backstage` in its runner, on a real Kafka and a real Postgres. Its faults: `test_backstage_faults.py`."""

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from tests.backstage_module_server import module_server
from tests.integration.sinks.backstage_stage import Brisk, exactly


@pytest.fixture
def backstage():
    with module_server() as server:
        yield server


@pytest.fixture
def settings(stage, dsn, backstage):
    def make(**options):
        given = {"base_url": backstage.url, "shards": 4, "resync_interval": "1s", **options}
        return replace(stage.settings("backstage", dsn, **given), registry=CollectorRegistry())

    return make


@pytest.fixture
def start(stage, settings):
    return lambda **options: stage.start(Brisk(settings(**options)))


def test_entities_come_change_and_go(stage, start, whole, backstage, eventually):
    first, second = whole("pay", 1), whole("Till", 2, tags=["cash"])
    stage.upsert(first)
    stage.upsert(second)
    start()
    eventually(lambda: backstage.held == exactly(first, second))

    newer = whole("pay", 3, description="Takes the money")
    stage.upsert(newer)
    stage.vanish(second.entity_ref, 4)

    eventually(lambda: backstage.held == exactly(newer))


def test_a_backstage_that_was_away_is_resynced(stage, start, whole, backstage, eventually):
    first = whole("pay", 1)
    stage.upsert(first)
    running = start(resync_interval="1h")
    eventually(lambda: running.total("mainstem_backstage_last_resync_seconds") > 0)
    eventually(lambda: backstage.held == exactly(first))

    backstage.is_away = True
    second = whole("till", 2)
    stage.upsert(second)
    eventually(lambda: running.total("mainstem_sink_retries_total") > 0)
    backstage.restart()
    backstage.empty()
    backstage.is_away = False

    eventually(lambda: backstage.held == exactly(first, second))


def test_one_entity_of_a_batch_that_is_refused_goes_to_the_dead_letters_alone(
    stage, start, whole, backstage, eventually
):
    entities = [whole(f"e{number}", number) for number in range(1, 12)]
    backstage.refuse["component:default/e5"] = "canary-of-a-reason"
    for each in entities:
        stage.upsert(each)
    running = start()
    eventually(lambda: running.total("mainstem_sink_dead_letters_total") == 1)
    eventually(lambda: running.total("mainstem_sink_lag") == 0)

    letter = stage.read(stage.topics.dead_letters, 1)[0]

    told = dict(letter.headers())
    assert letter.key() == b"component:default/e5"
    assert told["mainstem-stage"] == b"sink:backstage"
    assert b"canary" not in told["mainstem-reason"]
    assert backstage.held == exactly(*(each for each in entities if each.entity_ref != "component:default/e5"))
