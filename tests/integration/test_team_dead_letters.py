"""A team's own dead letters over HTTP, from a real topic."""

import pytest

from mainstem.api import dead_letters
from mainstem.cluster import client_settings
from mainstem.configuration.kafka import KafkaConfig
from mainstem.dead_letters.window import Letters as Place
from streams.policy import ConnectorPolicy, Policy
from tests.integration.deliveries import catalogue, upsert
from tests.integration.test_api import serving
from tests.integration.test_dead_letters import Letters

POLICY = Policy(connectors={"acme-git": ConnectorPolicy(tenant="acme")})
CATALOGUE = [
    upsert("group:default/team-pay", 1),
    upsert("component:default/pay", 1, spec={"owner": "team-pay"}),
    upsert("component:default/told", 1, service={"ownerTeam": "team-pay"}),
    upsert("component:default/other", 1, spec={"owner": "team-web"}),
    upsert("group:default/team-web", 1),
]


@pytest.fixture(scope="module")
def place(postgres, kafka, tmp_path_factory):
    with catalogue(postgres, CATALOGUE) as dsn:
        yield Letters(kafka, dsn, tmp_path_factory.mktemp("letters"))


@pytest.fixture(scope="module")
def written(place):
    """Write dead letters of several owners; return the ids of those that are the team's."""
    mine = [
        place.put(),
        place.put(key=b"component:default/told"),
        place.put(connector="team-pay", key=b"no reference"),
        place.put(connector="team-pay", key=b"acme|component:default/pay"),
        place.put(connector="manual"),
    ]
    place.put(key=b"component:default/other")
    place.put(key=b"component:default/nowhere")
    place.put(connector="acme-git")
    place.put(connector="manual", key=b"acme|component:default/pay")
    place.run("discard", place.put().id)
    return sorted(each.id for each in mine)


@pytest.fixture(scope="module")
def api(place, written):
    assert written
    client = client_settings(KafkaConfig(), place.bootstrap)
    letters = Place(client=client, topics=place.topics, dsn=place.dsn)
    with serving(dsn=place.dsn, policy=POLICY, dead_letters=letters) as client:
        yield client


def pages(api, team="team-pay", **query):
    cursor = None
    while True:
        path = f"/v1/teams/{team}/dead-letters"
        answer = api.get(path, params={**query, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        yield answer.json()["items"]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return


def test_a_team_sees_those_of_its_connector_and_of_its_entities_and_nobody_elses(api, written):
    assert sorted(each["id"] for items in pages(api) for each in items) == written


@pytest.mark.parametrize("looked_at", [2_000, 2])
def test_each_comes_once_page_by_page(api, written, monkeypatch, looked_at):
    monkeypatch.setattr(dead_letters, "LOOKED_AT", looked_at)
    monkeypatch.setattr("mainstem.dead_letters.window.BATCH", 2)
    monkeypatch.setattr("mainstem.dead_letters.window.Window.size", 2)
    assert sorted(each["id"] for items in pages(api, limit=1) for each in items) == written


def test_a_letter_tells_where_it_came_from_and_why_and_nothing_of_what_is_in_it(api):
    found = {(each["connector"], each["entity_ref"]): each for items in pages(api) for each in items}
    letter = found["git", "component:default/pay"]
    assert found.keys() == {
        ("git", "component:default/pay"),
        ("git", "component:default/told"),
        ("team-pay", None),
        ("manual", "component:default/pay"),
    }
    assert (letter["stage"], letter["error"], letter["reason"]) == ("decode", "DecodeError", "not JSON")
    assert "kan4rie" not in api.get("/v1/teams/team-pay/dead-letters").text


def test_a_team_that_is_not_there_has_none(api):
    assert api.get("/v1/teams/team-nobody/dead-letters").status_code == 404


@pytest.mark.parametrize("cursor", ["x", "MQ==", "%25"])
def test_a_cursor_that_no_list_gave_is_refused(api, cursor):
    assert api.get(f"/v1/teams/team-pay/dead-letters?cursor={cursor}").status_code == 400


def test_without_kafka_it_is_told_so(place):
    with serving(dsn=place.dsn) as client:
        answer = client.get("/v1/teams/team-pay/dead-letters")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_a_kafka_that_is_away_is_told_so(place, monkeypatch):
    monkeypatch.setattr("mainstem.cluster.ANSWER_SECONDS", 1.0)
    away = Place(client=client_settings(KafkaConfig(), "127.0.0.1:1"), topics=place.topics, dsn=place.dsn)
    with serving(dsn=place.dsn, dead_letters=away) as client:
        answer = client.get("/v1/teams/team-pay/dead-letters")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
